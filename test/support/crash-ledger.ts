import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'

/** Which ledger is kept: told to the child as JSON. A further store is a further kind. */
export type CrashLedger = { readonly kind: 'sqlite'; readonly file: string }

export async function openCrashLedger(ledger: CrashLedger): Promise<LedgerStore> {
  switch (ledger.kind) {
    case 'sqlite':
      return await openSqliteLedger({ file: ledger.file })
  }
}
