import { Command } from 'commander'
import { runApp } from '../../app.ts'
import { createLog } from '../../telemetry/log.ts'
import type { CliContext } from '../context.ts'
import { configOf, globalOptions } from '../global-options.ts'

/** `spillway run`: be the virtual nodes of a configuration until stopped. */
export function runCommand(context: CliContext): Command {
  return new Command('run')
    .description('be the virtual nodes that --config describes, until stopped; their Pods stay')
    .action(async (_options: unknown, command: Command) => {
      const { clock, environment, random, signal } = context
      const config = configOf(globalOptions(command), context)
      const log = createLog({ level: config.logLevel })
      await runApp(config, { clock, environment, random, log }, signal)
    })
}
