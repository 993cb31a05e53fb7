import { Command } from 'commander'
import { verifyLedger } from '../../billing/verify.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { globalOptions } from '../global-options.ts'
import { openLedgerToWrite } from '../ledger-file.ts'
import { Output } from '../output.ts'

/** `spillway ledger rebuild`: exit code 3 when the projections were not what the log comes to. */
export function ledgerRebuildCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('rebuild')
    .description('make everything but the log, the seals and the price books anew, and compare')
    .requiredOption('--ledger <place>', 'a ledger that nothing writes just now: a file, or a PostgreSQL URL')
    .action(async ({ ledger: place }: { readonly ledger: string }, command: Command) => {
      const ledger = await openLedgerToWrite(place, context)
      try {
        const now = { nowMs: context.clock.wallMs() }
        const before = await verifyLedger(ledger, now, context.signal)
        await ledger.rebuild(context.signal)
        const after = await verifyLedger(ledger, now, context.signal)
        const report = { before: before.projectionHash, after: after.projectionHash }
        const output = new Output(context.stdout, context.environment)
        const isSame = report.before === report.after
        if (globalOptions(command).json) output.json(report)
        else
          output.line(
            isSame ? `The same as before: ${report.after}` : `Was ${report.before}, is ${report.after}`,
          )
        if (!isSame) exit(exitCodes.claimFalse)
      } finally {
        await ledger.close()
      }
    })
}
