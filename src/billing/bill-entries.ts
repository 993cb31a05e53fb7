import { nanoScale, parseDecimal, roundRational, zero, type Rational } from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'
import { addQuantities, noQuantities, quantities, type Quantities } from '../model/usage.ts'
import { isSettled } from './accounts.ts'
import { matches, namesOf, type BilledNames, type BillFilter, type SettledQuery } from './bill-query.ts'
import {
  billedEndMs,
  chargeLines,
  hasBegun,
  sliceInterval,
  type ChargeLine,
  type Period,
  type UsageSlice,
} from './charges.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageInterval } from './projection.ts'
import { bookOf, hourlyPrice } from './spending.ts'

/** What rows of a bill are the sums of: one interval, or its part on one day; or one correction. */
export interface BillEntry extends BilledNames {
  /** The UTC day, `2026-11-29`, where the bill is by day; else empty. */
  readonly day: string
  /** Why a correction was made; undefined: time that ran. */
  readonly correction: string | undefined
  readonly startMs: number
  /** Undefined while it runs. */
  readonly endMs: number | undefined
  /** It runs, and the bill reaches up to now: the amount grows. */
  readonly open: boolean
  /** What an open one costs an hour, exactly. */
  readonly perHour: Rational
  readonly estimated: boolean
  readonly quantities: Quantities
  readonly nanos: bigint
  readonly currency: string
  /** Resources that ran and have no price. */
  readonly unpriced: readonly string[]
}

/** An interval with its invoice lines. */
export interface ChargedInterval {
  readonly interval: UsageInterval
  /** Undefined while the Pod's INTENT, and with it its size, is not known. */
  readonly book: PriceBook | undefined
  readonly lines: readonly ChargeLine[]
  /** Where neither hour, nor size, nor price changes. */
  readonly slices: readonly UsageSlice[]
}

export interface ChargeOptions {
  readonly nowMs: number
  readonly period: Period
  readonly filter?: BillFilter
}

/** The lines of every interval in the period, one interval after the other, each Pod by the book of its own terms. */
export function* chargeIntervals(
  intervals: readonly UsageInterval[],
  books: readonly PriceBook[],
  { nowMs, period, filter }: ChargeOptions,
): Generator<ChargedInterval> {
  const byId = new Map(books.map((book) => [book.id, book]))
  for (const interval of intervals) {
    if (interval.startMs >= period.toMs || !hasBegun(interval, nowMs)) continue
    if (!matches(namesOf(interval), filter)) continue
    const book = bookOf(interval, byId)
    if (!book) {
      yield { interval, book, lines: [], slices: [] }
      continue
    }
    const lines = chargeLines(interval, book, { nowMs, period })
    if (lines.length > 0)
      yield { interval, book, lines, slices: sliceInterval(interval, book, { nowMs, period }) }
  }
}

/** One entry; where the bill is by day, one for each day. */
export function entriesOf(charged: ChargedInterval, query: SettledQuery): BillEntry[] {
  if (!query.by.includes('day')) return [entryOf(charged, { ...query, day: '' })]
  const { lines, slices } = charged
  const linesByDay = Map.groupBy(lines, ({ hourMs }) => dayOf(hourMs))
  const slicesByDay = Map.groupBy(slices, ({ fromMs }) => dayOf(fromMs))
  if (linesByDay.size === 0) return [entryOf(charged, { ...query, day: dayOf(charged.interval.startMs) })]
  return [...linesByDay].map(([day, own], index) => {
    const isLast = index === linesByDay.size - 1
    const part = { ...charged, lines: own, slices: slicesByDay.get(day) ?? [] }
    // What runs on grows on its last day only.
    return entryOf(part, { ...query, day, ...(!isLast && { toMs: Number.NEGATIVE_INFINITY }) })
  })
}

function entryOf(
  { interval, book, lines, slices }: ChargedInterval,
  { nowMs, toMs, day, sealed }: Pick<SettledQuery, 'nowMs' | 'toMs' | 'sealed'> & { readonly day: string },
): BillEntry {
  const spec = interval.segments.at(-1)?.terms.spec
  const open = !isSettled(interval) && !sealed && nowMs <= toMs
  const unknownSize = book ? [] : ['cpu', 'memory']
  return {
    ...namesOf(interval),
    day,
    correction: undefined,
    startMs: interval.startMs,
    endMs: interval.endMs,
    open,
    perHour: open && book && spec ? hourlyPrice(spec, book, nowMs) : zero,
    // The end is what is estimated: nothing is where it lies in another period.
    estimated:
      interval.confidence === 'estimated' &&
      (!book || slices.at(-1)?.toMs === billedEndMs(interval, book, nowMs)),
    quantities: slices
      .map((slice) => quantities(slice.spec, slice.toMs - slice.fromMs))
      .reduce(addQuantities, noQuantities),
    nanos: lines.reduce((sum, line) => sum + line.nanos, 0n),
    currency: book?.currency ?? '',
    unpriced: [
      ...unknownSize,
      ...lines.filter(({ sku }) => sku === undefined).map(({ resource }) => resource),
    ],
  }
}

/**
 * The corrections of a period. One may concern a Pod that did not run in it: its names are then read from its history,
 * unless `known` has them.
 */
export async function correctionEntries(
  ledger: LedgerStore,
  { query, known }: { readonly query: SettledQuery; readonly known: ReadonlyMap<string, UsageInterval> },
  signal: AbortSignal,
): Promise<BillEntry[]> {
  const adjustments = await ledger.adjustments(query, signal)
  const entries = await Promise.all(
    adjustments.map(
      async ({ podUid, atMs, amount, currency, reason, about, corrects }): Promise<BillEntry> => {
        const hasLabels = query.by.some((grouping) => grouping.startsWith('label:')) || query.filter?.labels
        const isNamed = about !== undefined && !hasLabels
        const interval = isNamed
          ? undefined
          : (known.get(podUid) ?? (await ledger.history(podUid, signal)).intervals[0])
        const unknown = { namespace: '', workload: '', pod: '', podUid, pool: '', labels: {} }
        return {
          ...(interval ? namesOf(interval) : unknown),
          ...about,
          day: query.by.includes('day') ? dayOf(atMs) : '',
          correction: reason,
          startMs: atMs,
          endMs: atMs,
          open: false,
          perHour: zero,
          estimated: false,
          quantities: corrects?.quantities ?? noQuantities,
          nanos: roundRational(parseDecimal(amount), nanoScale, 'half_even'),
          currency,
          unpriced: [],
        }
      },
    ),
  )
  return entries.filter((entry) => matches(entry, query.filter))
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
