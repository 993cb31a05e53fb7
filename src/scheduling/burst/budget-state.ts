import type { SpendCaps } from '../../config/spend-caps.ts'
import { formatMoney } from '../../model/money.ts'
import { capStates, type CapState, type Commitment } from './spend.ts'

/** Worst last: from `NoRoom` on nothing new starts. */
export const budgetReasons = ['WithinBudget', 'NearCap', 'NoRoom', 'CapSpent'] as const
export type BudgetReason = (typeof budgetReasons)[number]

export interface BudgetState {
  readonly reason: BudgetReason
  /** With figures, but for `WithinBudget`. */
  readonly message: string
}

/** How a budget stands, in the same words for a policy, a pool and a namespace; `waiting`: Pods that it keeps in. */
export function budgetState(caps: SpendCaps, commitment: Commitment, waiting: number): BudgetState {
  const states = capStates(caps, commitment)
  const money = (nanos: bigint): string => formatMoney(nanos, caps.currency)
  const spent = states.find((state) => state.spent >= state.cap)
  if (spent) {
    const goesOn = caps.atCap === 'Stop' ? 'what runs is evicted' : 'what runs goes on'
    const message = `${money(spent.spent)} of ${money(spent.cap)} per ${spent.period} are spent; nothing more goes out, ${goesOn}`
    return { reason: 'CapSpent', message }
  }
  const full = states.find((state) => state.spent + state.reserved >= state.cap)
  if (waiting > 0 || full) {
    const tight = full ?? nearestCap(states)
    const wait = waiting === 1 ? '; 1 Pod waits' : `; ${waiting} Pods wait`
    const message = `${tight ? describe(tight, money) : 'it is full'}${waiting > 0 ? wait : ''}`
    return { reason: 'NoRoom', message }
  }
  const near = states.find((state) => state.spent * 100n >= state.cap * BigInt(caps.warnAtPercent))
  if (near) {
    const message = `${describe(near, money)}; people are to be warned at ${caps.warnAtPercent} %`
    return { reason: 'NearCap', message }
  }
  return { reason: 'WithinBudget', message: 'there is room for more' }
}

function describe({ period, cap, spent, reserved }: CapState, money: (nanos: bigint) => string): string {
  return `of ${money(cap)} per ${period} ${money(spent)} are spent and ${money(reserved)} reserved for what runs`
}

/** The one of which the largest share is gone. */
export function nearestCap(states: readonly CapState[]): CapState | undefined {
  const [first, ...others] = states
  return others.reduce((nearest, other) => {
    if (!nearest) return other
    const isNearer =
      (other.spent + other.reserved) * nearest.cap > (nearest.spent + nearest.reserved) * other.cap
    return isNearer ? other : nearest
  }, first)
}
