import { existsSync } from 'node:fs'
import type { LedgerStore } from '../billing/ledger.ts'
import { openLedger } from '../billing/store/open-ledger.ts'
import { parseLedgerPlace } from '../config/ledger.ts'
import { SpillwayError } from '../model/errors.ts'
import type { CliContext } from './context.ts'

/** Opens what `--ledger` names, a file or a PostgreSQL URL, for reading. Rejects with Usage when there is no such file. */
export async function openLedgerFile(
  text: string,
  { environment }: Pick<CliContext, 'environment'>,
): Promise<LedgerStore> {
  const place = parseLedgerPlace(text)
  if (place.kind === 'sqlite' && !existsSync(place.file)) {
    throw new SpillwayError('Usage', `--ledger: ${place.file} does not exist`)
  }
  return await openLedger(place, { environment, readOnly: true })
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
