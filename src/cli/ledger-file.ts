import { existsSync } from 'node:fs'
import type { LedgerStore } from '../billing/ledger.ts'
import { openPostgresLedger } from '../billing/store/postgres.ts'
import { openSqliteLedger } from '../billing/store/sqlite.ts'
import { isPostgresUrl } from '../config/postgres-url.ts'
import { SpillwayError } from '../model/errors.ts'
import type { CliContext } from './context.ts'

/** Opens what `--ledger` names, a file or a PostgreSQL URL, for reading. Rejects with Usage when there is no such file. */
export async function openLedgerFile(
  place: string,
  { environment }: Pick<CliContext, 'environment'>,
): Promise<LedgerStore> {
  if (isPostgresUrl(place)) return await openPostgresLedger({ url: place, environment, readOnly: true })
  if (!existsSync(place)) throw new SpillwayError('Usage', `--ledger: ${place} does not exist`)
  return await openSqliteLedger({ file: place, readOnly: true })
}

/** The same for writing. LedgerUnavailable while a Spillway writes it: that one is to be asked instead. */
export async function openLedgerToWrite(
  place: string,
  { environment }: Pick<CliContext, 'environment'>,
): Promise<LedgerStore> {
  if (isPostgresUrl(place)) return await openPostgresLedger({ url: place, environment })
  if (!existsSync(place)) throw new SpillwayError('Usage', `--ledger: ${place} does not exist`)
  return await openSqliteLedger({ file: place })
}
