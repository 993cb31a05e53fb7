import type { BudgetFinding, PoolBudget } from '../../model/budget-finding.ts'
import type { Clock } from '../../model/clock.ts'
import { isClosed, type BudgetReport } from './budget-report.ts'
import { addNanos, noNanos, type Nanos } from './spend.ts'
import { spendStatus } from './spend-status.ts'

export interface PoolBudgetsOptions {
  readonly budgets: {
    readonly reports: readonly BudgetReport[]
    subscribe(listener: () => void): () => void
  }
  readonly clock: Clock
}

/** A status is for people: figures of money alone are written no more often than that. */
const poolAgeMs = 30_000
/** A pool has many nodes; theirs are as old as a sign of life may be. */
const nodeAgeMs = 5 * 60_000

interface Told {
  readonly node: BudgetFinding
  readonly nodeMs: number
  readonly pool: PoolBudget
  readonly poolMs: number
}

/** What pools and their nodes say of the pool's budget: at once when its state changes, else now and then. */
export class PoolBudgets {
  readonly #options: PoolBudgetsOptions
  readonly #told = new Map<string, Told>()
  readonly #listeners = new Set<(pool: string) => void>()

  constructor(options: PoolBudgetsOptions) {
    this.#options = options
    options.budgets.subscribe(() => this.#look())
  }

  ofNodes(pool: string): BudgetFinding | undefined {
    return this.#told.get(pool)?.node
  }

  ofPool(pool: string): PoolBudget | undefined {
    return this.#told.get(pool)?.pool
  }

  /** Calls back with the name of a pool that says something else. Returns the end of the subscription. */
  subscribe(listener: (pool: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #look(): void {
    const nowMs = this.#options.clock.monotonicMs()
    const seen = new Set<string>()
    for (const report of this.#options.budgets.reports) {
      const { owner } = report.budget
      if (owner.kind !== 'pool') continue
      seen.add(owner.name)
      const before = this.#told.get(owner.name)
      const after = toldOf(report, before, nowMs)
      if (after === before) continue
      this.#told.set(owner.name, after)
      this.#tell(owner.name)
    }
    for (const pool of this.#told.keys()) {
      if (seen.has(pool)) continue
      this.#told.delete(pool)
      this.#tell(pool)
    }
  }

  #tell(pool: string): void {
    for (const listener of this.#listeners) listener(pool)
  }
}

function toldOf(report: BudgetReport, before: Told | undefined, nowMs: number): Told {
  const finding = withinBudget(report)
  const changed = before?.node.reason !== finding.reason
  const isPoolDue = changed || nowMs - before.poolMs >= poolAgeMs
  const isNodeDue = changed || nowMs - before.nodeMs >= nodeAgeMs
  if (!isPoolDue && !isNodeDue) return before
  const pool = isPoolDue || !before ? { finding, figures: figuresOf(report) } : before.pool
  const node = isNodeDue || !before ? finding : before.node
  return {
    node,
    nodeMs: isNodeDue || !before ? nowMs : before.nodeMs,
    pool,
    poolMs: isPoolDue || !before ? nowMs : before.poolMs,
  }
}

function withinBudget(report: BudgetReport): BudgetFinding {
  const { reason, message, outlook } = report
  const status = reason === 'SpendUnknown' ? 'Unknown' : isClosed(report) ? 'False' : 'True'
  return { status, reason, message: outlook === '' ? message : `${message}; ${outlook}` }
}

function figuresOf({ budget, periods }: BudgetReport): PoolBudget['figures'] {
  if (periods.length === 0) return undefined
  const sum = (field: 'spent' | 'reserved' | 'forecast'): Nanos =>
    periods.reduce((all, one) => addNanos(all, { ...noNanos, [one.period]: one[field] }), noNanos)
  return spendStatus(budget.caps, { spent: sum('spent'), reserved: sum('reserved') }, sum('forecast'))
}
