import { Command } from 'commander'
import { findCluster } from '../../dev-cluster/find-cluster.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { CliContext } from '../context.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

/** `spillway kubeconfig`: prints the path, and nothing else, for `export KUBECONFIG=$(…)`. */
export function kubeconfigCommand(context: CliContext): Command {
  return new Command('kubeconfig')
    .description('print the path of the embedded cluster’s kubeconfig')
    .action(async (_options: unknown, command: Command) => {
      const { name, json } = globalOptions(command)
      const found = await findCluster(name)
      if (!found)
        throw new SpillwayError('Environment', `There is no cluster "${name}": start one with npm run up.`)
      const output = new Output(context.stdout, context.environment)
      if (json) output.json({ kubeconfig: found.cluster.kubeconfig })
      else output.line(found.cluster.kubeconfig)
    })
}
