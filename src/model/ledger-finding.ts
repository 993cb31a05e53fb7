/** Whether the ledger can be written and is what was written, for the condition of every virtual node. */
export interface LedgerFinding {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: 'EveryClaimHolds' | 'NotCheckedYet' | 'LedgerUnavailable' | 'LedgerCorrupt'
  /** The same while nothing changes: whoever shows it writes it anew when it does. */
  readonly message: string
}
