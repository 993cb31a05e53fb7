import { Command } from 'commander'
import { BillingReader } from '../../billing/billing-reader.ts'
import { readAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerFile } from '../ledger-file.ts'

interface ExportFlags {
  readonly server?: string
  readonly ledger?: string
}

/** `spillway ledger export`: the whole log, for whoever does not want to believe this program. */
export function ledgerExportCommand(context: CliContext): Command {
  return new Command('export')
    .description('print every event with its hash, the seals, and the price books, as lines of JSON')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'read a ledger itself: a file, or a PostgreSQL URL')
    .action(async (flags: ExportFlags, command: Command) => {
      const { stdout, signal } = context
      const { ledger: file } = flags
      if (file !== undefined) return await exportFile(file, context)
      const target = adminTarget({ ...globalOptions(command), ...flags }, context)
      // A write to standard output ends when all of it is taken, so nothing piles up here.
      for await (const text of readAdmin({ target }, '/v1/ledger/export', {}, signal)) stdout.write(text)
    })
}

async function exportFile(file: string, context: CliContext): Promise<void> {
  const { clock, signal, stdout } = context
  const ledger = await openLedgerFile(file, context)
  try {
    for await (const text of new BillingReader(ledger, clock).exportLedger(signal)) stdout.write(text)
  } finally {
    await ledger.close()
  }
}
