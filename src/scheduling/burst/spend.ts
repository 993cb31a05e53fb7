import { spendPeriods, type SpendCaps, type SpendPeriod } from '../../config/spend-caps.ts'
import { assertNever } from '../../model/assert.ts'
import type { Rational } from '../../model/money.ts'

/** What something costs while it runs. */
export interface Rate {
  readonly currency: string
  readonly perHour: Rational
  /** Nano-units that rounding adds to the lines of one UTC hour at most. */
  readonly roundingNanos: bigint
  /** Billed at least that long, however short it is. Left out: no longer than it is. */
  readonly minimumMs?: number
}

/** What was spent on Pods of one namespace, one pool and the same labels, or on one that is billed now. */
export interface SpendRecord {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly pool: string
  readonly currency: string
  /** In nano-units, since the hour, day or month began. */
  readonly spent: Readonly<Record<SpendPeriod, bigint>>
  /** Of what is billed now. */
  readonly open?: { readonly uid: string; readonly rate: Rate }
}

/** The ledger's word, stated by the room that needs it. */
export interface SpendSnapshot {
  /** Wall milliseconds up to which `spent` counts. */
  readonly atMs: number
  readonly records: readonly SpendRecord[]
}

export type Nanos = Readonly<Record<SpendPeriod, bigint>>

export const noNanos: Nanos = { hour: 0n, day: 0n, month: 0n }

export function addNanos(a: Nanos, b: Nanos): Nanos {
  return { hour: a.hour + b.hour, day: a.day + b.day, month: a.month + b.month }
}

export function lessNanos(a: Nanos, b: Nanos): Nanos {
  return { hour: a.hour - b.hour, day: a.day - b.day, month: a.month - b.month }
}

/** Half-open. */
export interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

/** The UTC hour, day or month of an instant: bills have lines by UTC hour, so that other days could not be added up. */
export function periodAt(period: SpendPeriod, atMs: number): Stretch {
  const found = lastFound[period]
  if (found.fromMs <= atMs && atMs < found.toMs) return found
  lastFound[period] = findPeriod(period, atMs)
  return lastFound[period]
}

/** All that is reckoned at one moment asks for the same three. */
const lastFound: Record<SpendPeriod, Stretch> = {
  hour: { fromMs: 0, toMs: 0 },
  day: { fromMs: 0, toMs: 0 },
  month: { fromMs: 0, toMs: 0 },
}

function findPeriod(period: SpendPeriod, atMs: number): Stretch {
  const at = new Date(atMs)
  const [year, month, day, hour] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate(), at.getUTCHours()]
  switch (period) {
    case 'hour':
      return { fromMs: Date.UTC(year, month, day, hour), toMs: Date.UTC(year, month, day, hour + 1) }
    case 'day':
      return { fromMs: Date.UTC(year, month, day), toMs: Date.UTC(year, month, day + 1) }
    case 'month':
      return { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) }
    default:
      return assertNever(period, 'period of spend')
  }
}

const hourMs = 3_600_000

/** The most that a stretch of time costs, rounding of its lines included. */
export function costOf({ perHour, roundingNanos }: Rate, { fromMs, toMs }: Stretch): bigint {
  if (toMs <= fromMs) return 0n
  const over = perHour.den * BigInt(hourMs)
  const exact = perHour.num * BigInt(Math.ceil(toMs - fromMs)) * 1_000_000_000n
  const hours = Math.floor((toMs - 1) / hourMs) - Math.floor(fromMs / hourMs) + 1
  return (exact + over - 1n) / over + roundingNanos * BigInt(hours)
}

/** Rounded up. */
export function nanosPerHour({ perHour }: Rate): bigint {
  return (perHour.num * 1_000_000_000n + perHour.den - 1n) / perHour.den
}

/** What a Pod may cost in each period that it is now, while it runs at most that long. */
export function reservation(rate: Rate, { fromMs, toMs: untilMs }: Stretch, nowMs: number): Nanos {
  const toMs = Math.max(untilMs, fromMs + (rate.minimumMs ?? 0))
  const of = (name: SpendPeriod): bigint => {
    const period = periodAt(name, nowMs)
    return costOf(rate, { fromMs: Math.max(fromMs, period.fromMs), toMs: Math.min(toMs, period.toMs) })
  }
  return { hour: of('hour'), day: of('day'), month: of('month') }
}

/** Spent, and what may still be spent on whatever runs, or may go, before the period ends. */
export interface Commitment {
  readonly spent: Nanos
  readonly reserved: Nanos
}

/** One record at a later time than that of its snapshot: a period that has begun since starts at nothing. */
export function commitmentOf(
  { spent, open }: SpendRecord,
  { atMs, nowMs, endsMs }: { readonly atMs: number; readonly nowMs: number; readonly endsMs: number },
): Commitment {
  const each = (period: SpendPeriod): { spent: bigint; reserved: bigint } => {
    const { fromMs, toMs } = periodAt(period, nowMs)
    const known = atMs >= fromMs ? spent[period] : 0n
    if (!open) return { spent: known, reserved: 0n }
    const sinceMs = Math.max(atMs, fromMs)
    const whole = costOf(open.rate, { fromMs: sinceMs, toMs: Math.max(Math.min(toMs, endsMs), nowMs) })
    const grown = costOf({ ...open.rate, roundingNanos: 0n }, { fromMs: sinceMs, toMs: nowMs })
    return { spent: known + grown, reserved: whole - grown }
  }
  const [hour, day, month] = [each('hour'), each('day'), each('month')]
  return {
    spent: { hour: hour.spent, day: day.spent, month: month.spent },
    reserved: { hour: hour.reserved, day: day.reserved, month: month.reserved },
  }
}

export interface CapState {
  readonly period: SpendPeriod
  readonly cap: bigint
  readonly spent: bigint
  readonly reserved: bigint
}

/** Each cap with where it stands. */
export function capStates({ nanos }: SpendCaps, { spent, reserved }: Commitment): readonly CapState[] {
  return spendPeriods.flatMap((period) => {
    const cap = nanos[period]
    return cap === undefined ? [] : [{ period, cap, spent: spent[period], reserved: reserved[period] }]
  })
}
