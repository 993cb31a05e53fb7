import { spendPeriods, type SpendCaps } from '../../config/spend-caps.ts'
import { formatMoney, formatNanos } from '../../model/money.ts'
import type { SpendStatus } from '../../model/spend-status.ts'
import { nearestCap } from './budget-state.ts'
import { capStates, type Commitment, type Nanos } from './spend.ts'

/** The figures of a budget, as the status of a policy or a pool has them. */
export function spendStatus(
  caps: SpendCaps,
  commitment: Commitment,
  forecast: Nanos,
): SpendStatus | undefined {
  const { currency } = caps
  const states = capStates(caps, commitment)
  const nearest = nearestCap(states)
  if (!nearest) return undefined
  const of = (nanos: bigint): string => formatMoney(nanos, currency)
  const periods = spendPeriods.flatMap((period) => {
    const state = states.find((one) => one.period === period)
    if (!state) return []
    const figures = {
      spent: formatNanos(state.spent),
      reserved: formatNanos(state.reserved),
      forecast: formatNanos(forecast[period]),
      cap: formatNanos(state.cap),
    }
    return [[period, figures]]
  })
  return {
    summary: `${of(nearest.spent)} of ${of(nearest.cap)} per ${nearest.period}`,
    currency,
    ...Object.fromEntries(periods),
  }
}
