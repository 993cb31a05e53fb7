import { existsSync } from 'node:fs'
import type { LedgerStore } from '../billing/ledger.ts'
import { openSqliteLedger } from '../billing/store/sqlite.ts'
import { SpillwayError } from '../model/errors.ts'

/** Opens a ledger file for reading. Rejects with Usage when there is none. */
export async function openLedgerFile(file: string): Promise<LedgerStore> {
  if (!existsSync(file)) throw new SpillwayError('Usage', `--ledger: ${file} does not exist`)
  return await openSqliteLedger({ file, readOnly: true })
}
