import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openLedger as openPlace, type OpenLedgerOptions } from '../../src/billing/store/open-ledger.ts'
import { parseLedgerPlace } from '../../src/config/ledger.ts'

/** `place` as on the command line: a file, or a PostgreSQL URL. */
export async function openLedger(
  place: string,
  options: Partial<OpenLedgerOptions> = {},
): Promise<LedgerStore> {
  return await openPlace(parseLedgerPlace(place), { environment: {}, ...options })
}
