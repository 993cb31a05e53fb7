import { formatNanos, nanoScale, parseDecimal, roundRational } from '../model/money.ts'
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
  return [noCap(field)]
}

/** The same of caps that are compiled. */
export function checkCompiledCaps(field: string, caps: SpendCaps | undefined): string[] {
  return caps && Object.keys(caps.nanos).length === 0 ? [noCap(field)] : []
}

function noCap(field: string): string {
  return `${field}: found no cap; allowed: at least one of perHour, perDay and perMonth`
}

/** As it would be written, with nothing left to defaults. */
export function rawSpendCaps({ currency, nanos, warnAtPercent, atCap }: SpendCaps): RawSpendCaps {
  const { hour, day, month } = nanos
  return {
    currency,
    ...(hour !== undefined && { perHour: formatNanos(hour) }),
    ...(day !== undefined && { perDay: formatNanos(day) }),
    ...(month !== undefined && { perMonth: formatNanos(month) }),
    warnAtPercent,
    atCap,
  }
}

function nanosOf(amount: string): bigint {
  return roundRational(parseDecimal(amount), nanoScale, 'half_even')
}
