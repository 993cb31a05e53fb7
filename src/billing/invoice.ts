import { explainPod, type ExplainedPod } from './bill-explanation.ts'
import { chargeIntervals, correctionEntries, entriesOf } from './bill-entries.ts'
import { settle, type BillGrouping, type BillQuery, type SettledQuery } from './bill-query.ts'
import { BillSums, type BillRow, type BillTotal } from './bill-rows.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageInterval } from './projection.ts'
import { sealedUntil } from './seal.ts'
import { totalDimensions, type TotalsQuery } from './usage-totals.ts'

/** Ready for JSON: money and quantities are decimal strings, times RFC 3339. */
export interface Bill {
  readonly from: string
  readonly to: string
  readonly by: readonly BillGrouping[]
  /** The instant up to which open intervals are priced. */
  readonly asOf: string
  /** It will never change: what becomes known later is corrected in a later period. */
  readonly sealed?: true
  /** By day, then by amount, the largest first. */
  readonly rows: readonly BillRow[]
  /** One a currency: amounts in different ones are never added up. */
  readonly totals: readonly BillTotal[]
  /** What all of it that still runs costs an hour, a total for each currency; empty when nothing does. */
  readonly perHour: readonly BillTotal[]
  /** With `explain`, Pod by Pod, line by line. */
  readonly pods?: readonly ExplainedPod[]
}

/** What was spent in a period, as the sum of rounded lines. LedgerCorrupt: a book that was billed by is not kept. */
export async function bill(ledger: LedgerStore, asked: BillQuery, signal: AbortSignal): Promise<Bill> {
  const sealedUntilMs = sealedUntil(await ledger.seals(signal))
  const query = settle(asked, { sealedUntilMs })
  const sums = new BillSums(query.by)
  const kept = keptQuery(query)
  const pods: ExplainedPod[] = []
  const known = new Map<string, UsageInterval>()
  if (kept) {
    for (const total of await ledger.totals(kept, signal)) {
      sums.addTotal(query.sealed ? { ...total, open: false } : total)
    }
  } else {
    const [intervals, books] = await Promise.all([ledger.intervals(query, signal), ledger.priceBooks(signal)])
    const options = { nowMs: query.nowMs, period: query, ...(query.filter && { filter: query.filter }) }
    for (const charged of chargeIntervals(intervals, books, options)) {
      for (const entry of entriesOf(charged, query)) sums.add(entry)
      if (query.explain) pods.push(explainPod(charged, query.nowMs))
    }
    for (const interval of intervals) known.set(interval.podUid, interval)
  }
  for (const entry of await correctionEntries(ledger, { query, known }, signal)) sums.add(entry)
  return {
    from: new Date(query.fromMs).toISOString(),
    to: new Date(query.toMs).toISOString(),
    by: query.by,
    asOf: new Date(query.nowMs).toISOString(),
    ...(query.sealed && { sealed: true as const }),
    rows: sums.rows(),
    totals: sums.totals(),
    perHour: sums.perHour(),
    ...(query.explain ? { pods } : {}),
  }
}

/** The same bill from the sums that the ledger keeps, which is quick; undefined where it takes every Pod. */
function keptQuery({
  fromMs,
  toMs,
  nowMs,
  by,
  filter = {},
  explain = false,
}: SettledQuery): TotalsQuery | undefined {
  const dimensions = totalDimensions.filter((dimension) => by.includes(dimension))
  const { namespaces = [], pools = [], workloads = [], labels = [], pod } = filter
  const isKept =
    dimensions.length === by.length && workloads.length + labels.length === 0 && pod === undefined
  if (explain || !isKept) return undefined
  return { period: { fromMs, toMs }, by: dimensions, nowMs, namespaces, pools }
}
