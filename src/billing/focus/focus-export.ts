import { csvRecord } from '../../model/csv.ts'
import { chargeIntervals } from '../bill-entries.ts'
import { matches, settle, type BillQuery } from '../bill-query.ts'
import type { LedgerStore } from '../ledger.ts'
import type { UsageInterval } from '../projection.ts'
import { sealedUntil } from '../seal.ts'
import { focusColumns, type FocusParties, type FocusVersion } from './focus-columns.ts'
import { correctedNames, correctionRow, usageRows, type FocusRow } from './focus-row.ts'

/** Whose charges of which time, as in a bill. */
export type FocusQuery = Omit<BillQuery, 'by' | 'explain'>

/**
 * Every charge of a period: usage by sandbox and hour, then corrections. A Pod whose size is not known yet has none: it
 * comes with a later export.
 */
export async function* focusRows(
  ledger: LedgerStore,
  query: FocusQuery,
  signal: AbortSignal,
): AsyncGenerator<FocusRow> {
  const sealedUntilMs = sealedUntil(await ledger.seals(signal))
  const { filter, nowMs, ...period } = settle({ ...query, by: [] }, { sealedUntilMs })
  const [intervals, books, adjustments] = await Promise.all([
    ledger.intervals(period, signal),
    ledger.priceBooks(signal),
    ledger.adjustments(period, signal),
  ])
  const options = { nowMs, period, ...(filter && { filter }) }
  for (const charged of chargeIntervals(intervals, books, options)) {
    signal.throwIfAborted()
    yield* usageRows(charged, nowMs)
  }
  const known = new Map<string, UsageInterval>(intervals.map((interval) => [interval.podUid, interval]))
  for (const adjustment of adjustments) {
    const { podUid } = adjustment
    const interval = known.get(podUid) ?? (await ledger.history(podUid, signal)).intervals[0]
    if (!matches(correctedNames(adjustment, interval), filter)) continue
    // One of a whole namespace has no Pod to know the cluster from.
    yield correctionRow(adjustment, { interval, clusterUid: intervals[0]?.clusterUid ?? '' })
  }
}

/** As CSV, a header and a record a row. Null is an empty field without quotes: readers take `NULL` for a text. */
export async function* focusCsv(
  rows: AsyncIterable<FocusRow>,
  { version, parties }: { readonly version: FocusVersion; readonly parties: FocusParties },
): AsyncGenerator<string> {
  const columns = focusColumns(version)
  yield csvRecord(columns.map(({ name }) => name))
  for await (const row of rows) yield csvRecord(columns.map((column) => column.of(row, parties)))
}
