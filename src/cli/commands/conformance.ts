import { Command, InvalidArgumentError, Option } from 'commander'
import { embeddedSandboxes, type EmbeddedSandbox } from '../../dev-cluster/cluster-file.ts'
import { fastSubset } from '../../dev-cluster/conformance/fast-subset.ts'
import { runConformance, type ConformanceResult } from '../../dev-cluster/conformance/run-conformance.ts'
import { nodeConformance } from '../../dev-cluster/conformance/selection.ts'
import { sourceIdentity } from '../../dev-cluster/conformance/source-identity.ts'
import { countResults } from '../../dev-cluster/conformance/result-rows.ts'
import { printConformance } from '../conformance-report.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import { launchSpillway, packageRoot } from '../embedded-spillway.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

interface ConformanceFlags {
  readonly baseline?: boolean
  readonly sandbox: EmbeddedSandbox
  readonly focus?: readonly string[]
  readonly skip?: readonly string[]
  readonly fast?: boolean
  readonly procs: number
  readonly fresh?: boolean
  readonly keep?: boolean
}

/** `spillway conformance`: upstream's own tests of a node; exit code 1 unless all pass. */
export function conformanceCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('conformance')
    .description('run upstream Kubernetes’ node tests (NodeConformance) on a virtual node')
    .option('--baseline', 'on the real kubelet instead; the results are shown beside those of virtual nodes')
    .addOption(
      new Option('--sandbox <kind>', 'what Pods on the virtual node get; the real kubelet has runc')
        .choices(embeddedSandboxes)
        .default('runc' satisfies EmbeddedSandbox)
        .conflicts('baseline'),
    )
    .option('--focus <regexp...>', 'tests to run, by their full names (\\[NodeConformance\\])')
    .option('--skip <regexp...>', 'tests to leave out (Serial, Disruptive, Slow, Flaky)')
    .option('--fast', 'a few tests of every kind')
    .option('--procs <n>', 'processes that share the tests', processes, 4)
    .option('--fresh', 'run again what passed before with the same sources')
    .option('--keep', 'leave the cluster running for a look around')
    .action(async (flags: ConformanceFlags, command: Command) => {
      const { json, name } = globalOptions(command)
      const named = command.parent?.getOptionValueSource('name') === 'cli'
      const node = flags.baseline ? 'kubelet' : 'virtual'
      const { sandbox } = flags
      const standard = flags.fast ? fastSubset : nodeConformance
      const result = await runConformance(
        {
          node,
          sandbox,
          clusterName: named ? name : `conformance-${node}${sandbox === 'runc' ? '' : `-${sandbox}`}`,
          selection: { focus: flags.focus ?? standard.focus, skip: flags.skip ?? standard.skip },
          procs: flags.procs,
          // Those are to tell whether something broke, on machines with other work to do: one failure may be chance.
          attempts: flags.fast ? 2 : 1,
          fresh: flags.fresh ?? false,
          keep: flags.keep ?? false,
          identity: await sourceIdentity(packageRoot),
          spillway: launchSpillway,
        },
        devContext(context),
        context.signal,
      )
      const output = new Output(context.stdout, context.environment)
      if (json) output.json({ node, sandbox, counts: countResults(result.rows), ...result })
      else printConformance(result, output)
      if (!isPassed(result)) exit(exitCodes.failed)
    })
}

/** A test that skips itself has found that it does not apply; upstream counts such a run as passed, too. */
function isPassed({ rows, problems }: ConformanceResult): boolean {
  const { passed, failed, notRun } = countResults(rows)
  return passed > 0 && failed === 0 && notRun === 0 && problems.length === 0
}

function processes(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 64)
    throw new InvalidArgumentError(`found "${text}"; allowed: a whole number from 1 to 64.`)
  return value
}
