import type { EventObject, EventSink } from '../../kube/events.ts'
import { formatMoney } from '../../model/money.ts'
import { reachedThresholds, type BudgetReport } from './budget-report.ts'

/** Events about budgets: each threshold once in each period, a state when it begins. */
export class BudgetVoice {
  readonly #events: EventSink
  /** By budget: period, its end, the cap and the share. What was told of a period that is over is of no more use. */
  readonly #told = new Map<string, ReadonlySet<string>>()
  /** By budget. */
  readonly #reasons = new Map<string, string>()

  constructor(events: EventSink) {
    this.#events = events
  }

  tell(report: BudgetReport, object: EventObject): void {
    this.#tellThresholds(report, object)
    const { budget, reason, message } = report
    const before = this.#reasons.get(budget.id)
    if (before === reason) return
    // Before the first reading of the ledger nothing is known to have changed.
    if (reason === 'SpendUnknown') return
    this.#reasons.set(budget.id, reason)
    const isClosing = reason === 'NoRoom' || reason === 'Unreadable'
    if (isClosing) this.#say(object, { type: 'Warning', reason, message: `${budget.title}: ${message}` })
    const isBack = reason === 'WithinBudget' && before !== undefined
    if (isBack) this.#say(object, { type: 'Normal', reason, message: `${budget.title}: ${message}` })
  }

  #tellThresholds(report: BudgetReport, object: EventObject): void {
    const { budget, outlook } = report
    const before = this.#told.get(budget.id) ?? new Set()
    const now = new Set<string>()
    for (const { period, endsMs, share } of reachedThresholds(report)) {
      const state = report.periods.find((one) => one.period === period)
      // Another cap is another threshold.
      const key = (of: string): string => `${period} ${endsMs} ${state?.cap} ${of}`
      now.add(key(share))
      // Whoever is told that the cap is spent has not to be told that it is near.
      if (share === 'cap') now.add(key('warning'))
      if (before.has(key(share))) continue
      const money = (nanos: bigint): string => formatMoney(nanos, budget.caps.currency)
      const spent = `${money(state?.spent ?? 0n)} of ${money(state?.cap ?? 0n)} per ${period} are spent`
      const message = `${budget.title}: ${spent}; ${outlook}`
      this.#say(object, { type: 'Warning', reason: share === 'cap' ? 'CapSpent' : 'NearCap', message })
    }
    // What a correction takes back may come again without being told again: once in each period.
    for (const key of before) {
      const isOfNow = report.periods.some(({ period, endsMs }) => key.startsWith(`${period} ${endsMs} `))
      if (isOfNow) now.add(key)
    }
    this.#told.set(budget.id, now)
  }

  #say(
    object: EventObject,
    note: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string },
  ): void {
    this.#events.record({ object, ...note })
  }
}
