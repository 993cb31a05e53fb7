import type { SqlLedger } from './sql-ledger.ts'

/** A ledger in the thread that serves it. One call at a time. */
export interface OpenedLedger {
  readonly ledger: SqlLedger
  /** Before each call: connects again, and goes on with the claim, when the connection was lost. */
  ready(): Promise<void>
  /** All that `work` reads is of one moment, whatever is written meanwhile. Of a ledger that is open for reading. */
  snapshot<T>(work: () => Promise<T>): Promise<T>
  /** Says that the writer lives. LedgerTakenOver: it is the writer no longer. */
  renew(): Promise<void>
  /**
   * From now on all that is read is of one moment, however much is written meanwhile. Of a ledger that is open for reading.
   * `breathe` is called now and then; it may throw.
   */
  holdStill(breathe: () => void): Promise<StillLedger>
  close(): Promise<void>
}

export interface StillLedger {
  /** What the database itself finds wrong with its pages. */
  readonly problems: readonly string[]
  /** False once the connection was lost: what was read since may be of another moment. */
  isStill(): boolean
}
