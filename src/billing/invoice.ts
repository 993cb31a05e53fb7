import { explainPod, type ExplainedPod } from './bill-explanation.ts'
import { chargeIntervals, correctionEntries, entriesOf } from './bill-entries.ts'
import { settle, type BillGrouping, type BillQuery } from './bill-query.ts'
import { BillSums, type BillRow, type BillTotal } from './bill-rows.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageInterval } from './projection.ts'

/** Ready for JSON: money and quantities are decimal strings, times RFC 3339. */
export interface Bill {
  readonly from: string
  readonly to: string
  readonly by: readonly BillGrouping[]
  /** The instant up to which open intervals are priced. */
  readonly asOf: string
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
  const query = settle(asked)
  const [intervals, books] = await Promise.all([ledger.intervals(query, signal), ledger.priceBooks(signal)])
  const sums = new BillSums(query.by)
  const pods: ExplainedPod[] = []
  const options = { nowMs: query.nowMs, period: query, ...(query.filter && { filter: query.filter }) }
  for (const charged of chargeIntervals(intervals, books, options)) {
    for (const entry of entriesOf(charged, query)) sums.add(entry)
    if (query.explain) pods.push(explainPod(charged, query.nowMs))
  }
  const known = new Map<string, UsageInterval>(intervals.map((interval) => [interval.podUid, interval]))
  for (const entry of await correctionEntries(ledger, { query, known }, signal)) sums.add(entry)
  return {
    from: new Date(query.fromMs).toISOString(),
    to: new Date(query.toMs).toISOString(),
    by: query.by,
    asOf: new Date(query.nowMs).toISOString(),
    rows: sums.rows(),
    totals: sums.totals(),
    perHour: sums.perHour(),
    ...(query.explain ? { pods } : {}),
  }
}
