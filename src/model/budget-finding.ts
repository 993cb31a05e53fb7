import type { SpendStatus } from './spend-status.ts'

/** Whether a pool's budget has room, for its condition and those of its nodes. */
export interface BudgetFinding {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  /** With figures of the time when it was found. */
  readonly message: string
}

export interface PoolBudget {
  readonly finding: BudgetFinding
  /** Undefined while they are not known. */
  readonly figures: SpendStatus | undefined
}
