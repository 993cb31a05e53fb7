import { dirname } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { embeddedSandboxes, type EmbeddedSandbox } from '../../dev-cluster/cluster-file.ts'
import { up } from '../../dev-cluster/up.ts'
import type { CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import { launchSpillway } from '../embedded-spillway.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { formatDuration } from '../times.ts'

interface UpFlags {
  readonly virtualNodes?: number
  readonly serverCpu?: number
  readonly serverNode: boolean
  readonly untainted?: boolean
  readonly metricsServer?: boolean
  readonly sandbox?: EmbeddedSandbox
}

/** `spillway up`: an embedded cluster, or what is missing of one. */
export function upCommand(context: CliContext): Command {
  return new Command('up')
    .description('start the embedded cluster on this machine, or mend it')
    .option('--virtual-nodes <n>', 'number of virtual nodes (2)', wholeNumber)
    .option('--server-cpu <cores>', 'cores that the server node offers (1)', positiveNumber)
    .option('--no-server-node', 'virtual nodes only')
    .option('--untainted', 'let every Pod onto the virtual nodes')
    .addOption(
      new Option('--sandbox <kind>', 'what Pods on the virtual nodes get (gvisor)').choices(
        embeddedSandboxes,
      ),
    )
    .option('--metrics-server', 'install metrics-server: kubectl top, HorizontalPodAutoscalers')
    .action(async (flags: UpFlags, command: Command) => {
      const { name, json } = globalOptions(command)
      const shape = {
        ...(flags.virtualNodes !== undefined && { virtualNodes: flags.virtualNodes }),
        ...(flags.serverCpu !== undefined && { serverCpu: flags.serverCpu }),
        ...(!flags.serverNode && { serverNode: false }),
        ...(flags.untainted !== undefined && { untainted: flags.untainted }),
        ...(flags.metricsServer && { metricsServer: true }),
        ...(flags.sandbox && { sandbox: flags.sandbox }),
      }
      const result = await up(
        { name, ...shape, spillway: launchSpillway },
        devContext(context),
        context.signal,
      )
      const { cluster, kubectl, kubectlOnPath, started, startMs } = result
      const output = new Output(context.stdout, context.environment)
      if (json)
        return output.json({
          name,
          kubeconfig: cluster.kubeconfig,
          apiServer: cluster.apiServerUrl,
          kubectl,
          started,
          startMs,
        })
      output.line(
        started.length === 0
          ? `Cluster "${name}" was running already.`
          : `Cluster "${name}" is ready after ${formatDuration(startMs)}: ${started.length} components started.`,
      )
      output.line(`  export KUBECONFIG=${cluster.kubeconfig}`)
      if (!kubectlOnPath) output.line(`  export PATH=$PATH:${dirname(kubectl)}    # for kubectl`)
      if (flags.metricsServer) output.line('  kubectl top answers in half a minute')
      output.line(`  stop it with: npm run down${name === 'default' ? '' : ` -- --name ${name}`}`)
    })
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value > 50)
    throw new InvalidArgumentError(`found "${text}"; allowed: a whole number from 0 to 50.`)
  return value
}

function positiveNumber(text: string): number {
  const value = Number(text)
  if (!(value > 0))
    throw new InvalidArgumentError(`found "${text}"; allowed: a number of cores above 0, such as 1.5.`)
  return value
}
