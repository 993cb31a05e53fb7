import { nanoScale, parseDecimal, roundRational } from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'
import { addQuantities, noQuantities, quantities, type Quantities } from '../model/usage.ts'
import { explainLine, explainPod, type ExplainedLine, type ExplainedPod } from './bill-explanation.ts'
import {
  billRow,
  collectRows,
  totalsOf,
  type BillEntry,
  type BillRow,
  type BillTotal,
  type BillView,
} from './bill-rows.ts'
import { chargeLines, floorHour, sliceInterval, type ChargeLine, type Period } from './charges.ts'
import type { LedgerStore } from './ledger.ts'
import type { Adjustment, UsageInterval } from './projection.ts'
import { bookOf } from './spending.ts'

export interface BillQuery {
  /** Widened to whole UTC hours, since a line is one. The answer says which. */
  readonly fromMs: number
  readonly toMs: number
  readonly by: BillView
  /** Open intervals are priced up to here. */
  readonly nowMs: number
  /** Also each Pod's lines with the sizes, the seconds and the formula. Default false. */
  readonly explain?: boolean
}

/** Ready for JSON: money and quantities are decimal strings, times RFC 3339. */
export interface Bill {
  readonly from: string
  readonly to: string
  readonly by: BillView
  /** The instant up to which open intervals are priced. */
  readonly asOf: string
  /** By amount, the largest first. */
  readonly rows: readonly BillRow[]
  /** One a currency: amounts in different ones are never added up. */
  readonly totals: readonly BillTotal[]
  /** With `explain`, Pod by Pod, line by line. */
  readonly pods?: readonly ExplainedBillPod[]
}

export interface ExplainedBillPod extends ExplainedPod {
  readonly lines: readonly ExplainedLine[]
}

/** What was spent in a period, as the sum of rounded lines. LedgerCorrupt: a book that was billed by is not kept. */
export async function bill(ledger: LedgerStore, query: BillQuery, signal: AbortSignal): Promise<Bill> {
  const period = wholeHours(query)
  const [intervals, adjustments, books] = await Promise.all([
    ledger.intervals(period, signal),
    ledger.adjustments(period, signal),
    ledger.priceBooks(signal),
  ])
  const charged = chargeIntervals(intervals, books, { period, nowMs: query.nowMs })
  const known = new Map(intervals.map((interval) => [String(interval.podUid), interval]))
  const adjusted = await attachAdjustments(ledger, adjustments, known, signal)
  const rows = collectRows([...charged.map(chargedEntry), ...adjusted], query.by)
  return {
    from: new Date(period.fromMs).toISOString(),
    to: new Date(period.toMs).toISOString(),
    by: query.by,
    asOf: new Date(query.nowMs).toISOString(),
    rows: rows.map(billRow),
    totals: totalsOf(rows),
    ...(query.explain ? { pods: charged.map((entry) => explainedPod(entry, query.nowMs)) } : {}),
  }
}

/** The lines of every interval in the period, each Pod by the book of its own terms. */
export function chargeIntervals(
  intervals: readonly UsageInterval[],
  books: readonly PriceBook[],
  options: { readonly nowMs: number; readonly period: Period },
): ChargedInterval[] {
  const byId = new Map(books.map((book) => [book.id, book]))
  return intervals
    .filter((interval) => interval.startMs < Math.min(options.period.toMs, options.nowMs + 1))
    .map((interval) => {
      const book = bookOf(interval, byId)
      if (!book) return { interval, book, lines: [], quantities: noQuantities }
      const lines = chargeLines(interval, book, options)
      const used = sliceInterval(interval, book, options)
        .map(({ fromMs, toMs, spec }) => quantities(spec, toMs - fromMs))
        .reduce(addQuantities, noQuantities)
      return { interval, book, lines, quantities: used }
    })
    .filter(({ book, lines }) => !book || lines.length > 0)
}

export interface ChargedInterval {
  readonly interval: UsageInterval
  /** Undefined while the Pod's INTENT, and with it its size, is not known. */
  readonly book: PriceBook | undefined
  readonly lines: readonly ChargeLine[]
  readonly quantities: Quantities
}

function chargedEntry({ interval, book, lines, quantities }: ChargedInterval): BillEntry {
  const unknownSize = book ? [] : ['cpu', 'memory']
  return {
    ...namesOf(interval),
    open: interval.endMs === undefined,
    estimated: interval.confidence === 'estimated',
    quantities,
    nanos: lines.reduce((sum, { nanos }) => sum + nanos, 0n),
    currency: book?.currency ?? '',
    unpriced: [
      ...unknownSize,
      ...lines.filter(({ sku }) => sku === undefined).map(({ resource }) => resource),
    ],
  }
}

function namesOf({
  podUid,
  pod,
  unknownPod,
}: UsageInterval): Pick<BillEntry, 'namespace' | 'workload' | 'pod' | 'podUid'> {
  const { namespace, name } = pod ?? unknownPod
  const workload = pod?.workload ?? { kind: 'Pod', name }
  return { namespace, workload: `${workload.kind}/${workload.name}`, pod: name, podUid }
}

/** A correction may concern a Pod that did not run in the period: its names are then read from its history. */
async function attachAdjustments(
  ledger: LedgerStore,
  adjustments: readonly Adjustment[],
  known: ReadonlyMap<string, UsageInterval>,
  signal: AbortSignal,
): Promise<BillEntry[]> {
  return await Promise.all(
    adjustments.map(async ({ podUid, amount, currency }) => {
      const interval = known.get(podUid) ?? (await ledger.history(podUid, signal)).intervals[0]
      const names = interval ? namesOf(interval) : { namespace: '', workload: '', pod: '', podUid }
      const nanos = roundRational(parseDecimal(amount), nanoScale, 'half_even')
      const nothing = { open: false, estimated: false, quantities: noQuantities, unpriced: [] }
      return { ...names, ...nothing, nanos, currency }
    }),
  )
}

function explainedPod({ interval, book, lines }: ChargedInterval, nowMs: number): ExplainedBillPod {
  return { ...explainPod(interval, nowMs), lines: book ? lines.map((line) => explainLine(line, book)) : [] }
}

function wholeHours({ fromMs, toMs }: BillQuery): Period {
  return { fromMs: floorHour(fromMs), toMs: -floorHour(-toMs) }
}
