import { Command, CommanderError } from 'commander'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import { version } from '../model/version.ts'
import { exitCodes, type CliContext } from './context.ts'
import { billCommand } from './commands/bill.ts'
import { budgetCommand } from './commands/budget.ts'
import { checkCommand } from './commands/check.ts'
import { conformanceCommand } from './commands/conformance.ts'
import { demoCommand } from './commands/demo.ts'
import { downCommand } from './commands/down.ts'
import { exportCommand } from './commands/export.ts'
import { explainCommand } from './commands/explain.ts'
import { kubeconfigCommand } from './commands/kubeconfig.ts'
import { ledgerCommand } from './commands/ledger.ts'
import { poolCommand } from './commands/pool.ts'
import { prepareCommand } from './commands/prepare.ts'
import { pricesCommand } from './commands/prices.ts'
import { runCommand } from './commands/run.ts'
import { statusCommand } from './commands/status.ts'
import { upCommand } from './commands/up.ts'
import { Output } from './output.ts'

/** Parses, runs one command, and turns every outcome into an exit code (docs/reference/cli.md). Never rejects. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  const outcome: { code: number } = { code: exitCodes.ok }
  const program = createProgram(context, (code) => {
    outcome.code = code
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return outcome.code
  } catch (error) {
    return explain(error, context)
  }
}

/** The commands; each reports its exit code when it is not `ok`. */
export function createProgram(context: CliContext, exit: (code: number) => void): Command {
  const program = new Command('spillway')
    .description('Virtual nodes for any Kubernetes cluster: when the servers are full, Pods spill over.')
    .version(version)
    .option('--name <name>', 'name of the cluster; picks its state and sockets', 'default')
    .option('--config <file>', 'configuration file')
    .option('--kubeconfig <file>', 'kubeconfig of an existing cluster')
    .option('--json', 'print JSON for programs', false)
    .showHelpAfterError('(--help lists what is allowed)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
  const commands = [
    runCommand,
    statusCommand,
    poolCommand,
    billCommand,
    exportCommand,
    budgetCommand,
    explainCommand,
    checkCommand,
    ledgerCommand,
    pricesCommand,
    upCommand,
    downCommand,
    kubeconfigCommand,
    prepareCommand,
    demoCommand,
    conformanceCommand,
  ]
  for (const command of commands) {
    const built = command(context, exit)
    // npm passes what follows `--` to the command, so the global options are understood behind it too.
    program.addCommand(inheriting(built, program))
  }
  return program
}

/** `addCommand` passes on nothing by itself, and a command of a command would end the process when it is used wrongly. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent)
  for (const child of command.commands) inheriting(child, command)
  return command
}

function explain(error: unknown, { stderr, environment, signal }: CliContext): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  if (signal.aborted) return exitCodes.interrupted
  const output = new Output(stderr, environment)
  output.line(`${output.style('red', 'spillway:')} ${errorMessage(error)}`)
  if (!(error instanceof SpillwayError)) {
    // Not one of ours, so a bug: the stack is what its report needs.
    if (error instanceof Error && error.stack) output.line(output.style('dim', error.stack))
    return exitCodes.failed
  }
  return error.code === 'Usage' || error.code === 'ConfigInvalid' ? exitCodes.usage : exitCodes.failed
}
