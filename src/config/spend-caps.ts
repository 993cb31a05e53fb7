import { nanoScale, parseDecimal, roundRational } from '../model/money.ts'
import type { RawSpendCaps } from './spend-caps-schema.ts'

export const spendPeriods = ['hour', 'day', 'month'] as const
/** In UTC, as bills are. */
export type SpendPeriod = (typeof spendPeriods)[number]

export interface SpendCaps {
  readonly currency: string
  /** In nano-units of the currency; without one there is no cap for that period. */
  readonly nanos: Readonly<Partial<Record<SpendPeriod, bigint>>>
  readonly warnAtPercent: number
  readonly atCap: 'StopNew' | 'Stop'
}

/** Of what has passed the schema. */
export function compileSpendCaps(raw: RawSpendCaps): SpendCaps {
  return {
    currency: raw.currency,
    nanos: {
      ...(raw.perHour !== undefined && { hour: nanosOf(raw.perHour) }),
      ...(raw.perDay !== undefined && { day: nanosOf(raw.perDay) }),
      ...(raw.perMonth !== undefined && { month: nanosOf(raw.perMonth) }),
    },
    warnAtPercent: raw.warnAtPercent ?? 80,
    atCap: raw.atCap ?? 'StopNew',
  }
}

/** What no schema can see; the rules of the definitions say the same to the API server. */
export function checkSpendCaps(field: string, caps: RawSpendCaps | undefined): string[] {
  if (!caps || caps.perHour !== undefined || caps.perDay !== undefined || caps.perMonth !== undefined) {
    return []
  }
  return [`${field}: found no cap; allowed: at least one of perHour, perDay and perMonth`]
}

function nanosOf(amount: string): bigint {
  return roundRational(parseDecimal(amount), nanoScale, 'half_even')
}
