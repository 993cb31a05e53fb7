import { Command } from 'commander'
import { backUpLedger, restoreLedger, type BackupOptions } from '../../billing/store/ledger-backup.ts'
import type { LedgerReport } from '../../billing/verify.ts'
import { parseLedgerPlace, type LedgerConfig } from '../../config/ledger.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { configOf, globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

interface PlaceFlags {
  readonly ledger?: string
}

/** `spillway ledger backup` and `spillway ledger restore`. Exit code 3 when a claim about what is copied is false. */
export function ledgerBackupCommands(context: CliContext, exit: (code: number) => void): Command[] {
  const backUp = new Command('backup')
    .description('write the ledger into a new SQLite file, also while Spillway runs')
    .argument('<file>', 'file to make')
    .option('--ledger <place>', 'a file, or a PostgreSQL URL; default: the ledger of --config')
    .action(async (file: string, flags: PlaceFlags, command: Command) => {
      const place = placeOf(flags, command, context)
      const report = await backUpLedger(place, file, optionsOf(context), context.signal)
      tell(report, `backed up to ${file}`, command, { context, exit })
    })
  const restore = new Command('restore')
    .description('put a backup where there is no ledger yet, once all of it has been checked')
    .argument('<file>', 'file that `ledger backup` made')
    .option('--ledger <place>', 'a file, or a PostgreSQL URL; default: the ledger of --config')
    .action(async (file: string, flags: PlaceFlags, command: Command) => {
      const place = placeOf(flags, command, context)
      const report = await restoreLedger(file, place, optionsOf(context), context.signal)
      tell(report, `restored from ${file}`, command, { context, exit })
    })
  return [backUp, restore]
}

function placeOf({ ledger }: PlaceFlags, command: Command, context: CliContext): LedgerConfig {
  return ledger === undefined ? configOf(globalOptions(command), context).ledger : parseLedgerPlace(ledger)
}

function optionsOf({ environment, clock }: CliContext): BackupOptions {
  return { environment, nowMs: clock.wallMs() }
}

function tell(
  report: LedgerReport,
  done: string,
  command: Command,
  { context, exit }: { readonly context: CliContext; readonly exit: (code: number) => void },
): void {
  const { events, pods, headHash, problems } = report
  const output = new Output(context.stdout, context.environment)
  const good = problems.length === 0
  if (globalOptions(command).json) output.json({ done: good, events, pods, headHash, problems })
  else if (good) output.line(`${events} events of ${pods} Pods ${done}; every claim holds; head ${headHash}`)
  else {
    output.line(`nothing was written: ${problems.length} claims about ${events} events do not hold`)
    for (const { claim, message } of problems) output.line(`  ✗ ${claim}: ${message}`)
  }
  if (!good) exit(exitCodes.claimFalse)
}
