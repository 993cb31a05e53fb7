import { existsSync } from 'node:fs'
import type { LedgerStore } from '../billing/ledger.ts'
import { openLedger } from '../billing/store/open-ledger.ts'
import { parseLedgerPlace, type LedgerConfig } from '../config/ledger.ts'
import { SpillwayError } from '../model/errors.ts'
import type { CliContext } from './context.ts'

/** Opens what `--ledger` names, a file or a PostgreSQL URL, for reading. Rejects with Usage when there is no such file. */
export async function openLedgerFile(
  text: string,
  { environment }: Pick<CliContext, 'environment'>,
): Promise<LedgerStore> {
  return await openLedger(existingPlace(text), { environment, readOnly: true })
}

/** The same for writing. LedgerUnavailable while a Spillway writes it: that one is to be asked instead. */
export async function openLedgerToWrite(
  text: string,
  { environment }: Pick<CliContext, 'environment'>,
): Promise<LedgerStore> {
  return await openLedger(existingPlace(text), { environment })
}

function existingPlace(text: string): LedgerConfig {
  const place = parseLedgerPlace(text)
  if (place.kind === 'sqlite' && !existsSync(place.file)) {
    throw new SpillwayError('Usage', `--ledger: ${place.file} does not exist`)
  }
  return place
}
