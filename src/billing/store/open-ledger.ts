import type { LedgerConfig } from '../../config/ledger.ts'
import type { SpillwayError } from '../../model/errors.ts'
import type { LedgerStore } from '../ledger.ts'
import { openPostgresLedger } from './postgres.ts'
import { openSqliteLedger } from './sqlite.ts'

export interface OpenLedgerOptions {
  /** For the PG* variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readOnly?: boolean
  readonly clusterUid?: string
  readonly onTakenOver?: (error: SpillwayError) => void
  readonly readerFromEvents?: number
  readonly onRenewal?: (failure: SpillwayError | undefined) => void
}

/** Opens whichever store it is; see there. */
export async function openLedger(place: LedgerConfig, options: OpenLedgerOptions): Promise<LedgerStore> {
  if (place.kind === 'postgres') return await openPostgresLedger({ ...place, ...options })
  const { environment: _, ...rest } = options
  return await openSqliteLedger({ file: place.file, ...rest })
}
