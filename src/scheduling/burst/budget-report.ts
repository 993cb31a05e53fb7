import type { SpendPeriod } from '../../config/spend-caps.ts'
import { formatMoney } from '../../model/money.ts'
import type { HeldBy } from '../judgement.ts'
import type { Budget } from './budget.ts'
import type { Account } from './accounts.ts'
import type { BurstPicture } from './burst-picture.ts'
import { budgetState, type BudgetReason } from './budget-state.ts'
import { capStates, periodAt, type CapState } from './spend.ts'

/** One budget at one moment, for whoever tells of it. */
export interface BudgetReport {
  readonly budget: Budget
  readonly reason: BudgetReason | 'Unreadable' | 'SpendUnknown'
  /** A sentence, with figures but for `WithinBudget`. */
  readonly message: string
  readonly periods: readonly PeriodReport[]
  /** Nano-units an hour of all that runs. */
  readonly perHour: bigint
  /** What comes of it if all goes on as it is: a sentence. Empty while that is not known. */
  readonly outlook: string
}

export interface PeriodReport extends CapState {
  readonly forecast: bigint
  readonly endsMs: number
  /** When the cap is spent at the earliest; undefined: not in this period, or it is already. */
  readonly spentMs: number | undefined
  /** What may be spent of which the ledger does not tell yet. */
  readonly underway: bigint
}

/** Pure. In the order of the budgets: policies, pools, namespaces. */
export function budgetReports(
  picture: BurstPicture,
  { held, nowMs }: { readonly held: readonly HeldBy[]; readonly nowMs: number },
): readonly BudgetReport[] {
  return picture.budgets.all.map((budget) => {
    const none = { budget, periods: [], perHour: 0n, outlook: '' }
    const { problems, caps, id } = budget
    if (problems.length > 0) {
      return { ...none, reason: 'Unreadable', message: `nothing new starts: ${problems.join('; ')}` }
    }
    const account = picture.accounts.get(id)
    if (!picture.spend || !account) {
      const message = 'what was spent so far is not known yet, and nothing new starts before it is'
      return { ...none, reason: 'SpendUnknown', message }
    }
    const waiting = held.filter(({ policy, why }) => policy === id && why === 'budget').length
    const periods = periodReports(budget, account, nowMs)
    const outlook = outlookOf(budget, account, periods)
    const state = budgetState(caps, account.commitment, waiting)
    return { budget, ...state, periods, perHour: account.perHour, outlook }
  })
}

function periodReports(
  { caps }: Budget,
  { commitment, forecast, underway, perHour }: Account,
  nowMs: number,
): readonly PeriodReport[] {
  return capStates(caps, commitment).map((state) => {
    const endsMs = periodAt(state.period, nowMs).toMs
    const spentMs = reachedMs({ ...state, perHour, nowMs })
    const isInPeriod = spentMs !== undefined && spentMs < endsMs
    return {
      ...state,
      forecast: forecast[state.period],
      underway: underway[state.period],
      endsMs,
      spentMs: isInPeriod ? spentMs : undefined,
    }
  })
}

const hourMs = 3_600_000n

/** The exact millisecond in which what runs now has cost that much; Infinity: never; undefined: it has already. */
function reachedMs({
  spent,
  cap,
  perHour,
  nowMs,
}: {
  readonly spent: bigint
  readonly cap: bigint
  readonly perHour: bigint
  readonly nowMs: number
}): number | undefined {
  if (spent >= cap) return undefined
  if (perHour === 0n) return Number.POSITIVE_INFINITY
  return nowMs + Number(((cap - spent) * hourMs + perHour - 1n) / perHour)
}

function outlookOf({ caps }: Budget, { perHour }: Account, periods: readonly PeriodReport[]): string {
  const money = (nanos: bigint): string => formatMoney(nanos, caps.currency)
  const first = periods.find(({ forecast, cap }) => forecast >= cap) ?? periods[0]
  if (!first) return ''
  const { period, cap, forecast, spent, endsMs, spentMs } = first
  const runs = perHour === 0n ? 'nothing runs' : `what runs costs ${money(perHour)} an hour`
  const end = `${money(forecast)} of ${money(cap)} by the end of the ${period} (${utc(endsMs)})`
  if (spent >= cap) return `${runs}: ${end}`
  return forecast >= cap && spentMs !== undefined
    ? `${runs}: the cap is spent at ${utc(spentMs)}, and it comes to ${end}`
    : `${runs}: it comes to ${end}`
}

/** To the second: `2026-03-10 10:59:59Z`. */
function utc(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
}

/**
 * The next instant at which a budget comes to a threshold by what runs alone, or its period ends. Rates are known, so
 * that nobody has to look every second.
 */
export function nextThresholdMs(reports: readonly BudgetReport[], nowMs: number): number | undefined {
  const instants = reports.flatMap(({ budget, periods, perHour }) =>
    periods.flatMap(({ spent, underway, cap, endsMs }) => {
      const warnAt = (cap * BigInt(budget.caps.warnAtPercent) + 99n) / 100n
      return (
        [warnAt, cap]
          .filter((amount) => spent < amount)
          // The ledger has the word: where it may already be so, it is read again now.
          .map((amount) => reachedMs({ spent: spent + underway, cap: amount, perHour, nowMs }) ?? nowMs)
          .filter((ms) => ms < endsMs)
          .concat(endsMs)
      )
    }),
  )
  return instants.length > 0 ? Math.min(...instants) : undefined
}

/** Whether nothing more is to start under it. */
export function isClosed({ reason }: Pick<BudgetReport, 'reason'>): boolean {
  return reason !== 'WithinBudget' && reason !== 'NearCap'
}

/** The periods that are at least warned of, nearest first: what an event is made of, once each. */
export function reachedThresholds({ budget, periods }: BudgetReport): readonly Threshold[] {
  return periods.flatMap(({ period, spent, cap, endsMs }) => {
    const found: Threshold[] = []
    const warnAt = cap * BigInt(budget.caps.warnAtPercent)
    if (spent >= cap) found.push({ period, endsMs, share: 'cap' })
    else if (spent * 100n >= warnAt) found.push({ period, endsMs, share: 'warning' })
    return found
  })
}

export interface Threshold {
  readonly period: SpendPeriod
  /** Of the period: there is a next one. */
  readonly endsMs: number
  readonly share: 'warning' | 'cap'
}
