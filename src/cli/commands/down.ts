import { Command } from 'commander'
import { down } from '../../dev-cluster/down.ts'
import type { CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

/** `spillway down`: removes the embedded cluster with every trace of it. */
export function downCommand(context: CliContext): Command {
  return new Command('down')
    .description('remove the embedded cluster: processes, mounts, network, cgroups, files')
    .action(async (_options: unknown, command: Command) => {
      const { name, json } = globalOptions(command)
      const removed = await down({ name }, devContext(context), context.signal)
      const output = new Output(context.stdout, context.environment)
      if (json) output.json({ name, removed })
      else output.line(removed ? `Cluster "${name}" is gone.` : `There is no cluster "${name}".`)
    })
}
