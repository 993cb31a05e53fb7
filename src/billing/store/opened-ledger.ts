import type { SqlLedger } from './sql-ledger.ts'

/** A ledger in the thread that serves it. One call at a time. */
export interface OpenedLedger {
  readonly ledger: SqlLedger
  /** Before each call: connects again, and goes on with the claim, when the connection was lost. */
  ready(): Promise<void>
  /** Says that the writer lives. LedgerTakenOver: it is the writer no longer. */
  renew(): Promise<void>
  close(): Promise<void>
}
