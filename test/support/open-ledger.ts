import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openPostgresLedger } from '../../src/billing/store/postgres.ts'
import { isPostgresUrl } from '../../src/config/postgres-url.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import type { SpillwayError } from '../../src/model/errors.ts'

export interface LedgerOpening {
  readonly readOnly?: boolean
  readonly clusterUid?: string
  readonly onTakenOver?: (error: SpillwayError) => void
}

/** `place` as on the command line: a file, or a PostgreSQL URL. */
export async function openLedger(place: string, options: LedgerOpening = {}): Promise<LedgerStore> {
  if (isPostgresUrl(place)) return await openPostgresLedger({ url: place, environment: {}, ...options })
  return await openSqliteLedger({ file: place, ...options })
}
