import { Command } from 'commander'
import { BillingReader } from '../../billing/billing-reader.ts'
import type { LedgerReport } from '../../billing/verify.ts'
import { askAdmin } from '../admin-client.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerFile } from '../ledger-file.ts'
import { Output } from '../output.ts'
import { ledgerAdjustCommand } from './ledger-adjust.ts'
import { ledgerBackupCommands } from './ledger-backup.ts'
import { ledgerExportCommand } from './ledger-export.ts'
import { ledgerRebuildCommand } from './ledger-rebuild.ts'
import { ledgerReconcileCommand } from './ledger-reconcile.ts'
import { ledgerSealCommand } from './ledger-seal.ts'

interface VerifyFlags {
  readonly server?: string
  readonly ledger?: string
}

/** `spillway ledger`; its `verify`: exit code 3 when a claim about the ledger is false. */
export function ledgerCommand(context: CliContext, exit: (code: number) => void): Command {
  const verify = new Command('verify')
    .description('check the hash chain and the invariants of the ledger')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'read a ledger itself: a file, or a PostgreSQL URL')
    .action(async (flags: VerifyFlags, command: Command) => {
      const options = { ...globalOptions(command), ...flags }
      const report = await verifyLedger(options, context)
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(report)
      else output.write(formatReport(report))
      if (report.problems.length > 0) exit(exitCodes.claimFalse)
    })
  const verbs = [
    verify,
    ledgerReconcileCommand(context, exit),
    ledgerExportCommand(context),
    ledgerSealCommand(context),
    ledgerAdjustCommand(context),
    ledgerRebuildCommand(context, exit),
    ...ledgerBackupCommands(context, exit),
  ]
  const ledger = new Command('ledger').description('look after the ledger')
  for (const verb of verbs) ledger.addCommand(verb)
  return ledger
}

async function verifyLedger(
  options: VerifyFlags & ReturnType<typeof globalOptions>,
  context: CliContext,
): Promise<LedgerReport> {
  if (options.ledger === undefined) {
    return (await askAdmin(
      { target: adminTarget(options, context) },
      '/v1/ledger/verify',
      {},
      context.signal,
    )) as LedgerReport
  }
  const ledger = await openLedgerFile(options.ledger, context)
  try {
    return await new BillingReader(ledger, context.clock).verify(context.signal)
  } finally {
    await ledger.close()
  }
}

function formatReport(report: LedgerReport): string {
  const { events, pods, intervals, seals, headHash, sealHash, projectionHash, problems, ignored } = report
  const counts = `${events} events, ${pods} Pods, ${intervals} intervals; head ${headHash}\n`
  const sealed = seals > 0 ? `${seals} seals, the last ${sealHash}\n` : ''
  const found = problems.map(({ claim, message }) => `  ✗ ${claim}: ${message}\n`).join('')
  const noted = ignored
    .map(({ kind, id, why }) => `  - ${kind} ${id.slice(0, 12)} changes nothing: ${why}\n`)
    .join('')
  const verdict = problems.length === 0 ? 'Every claim holds.\n' : ''
  return `${counts}${sealed}projections ${projectionHash}\n${found}${noted}${verdict}`
}
