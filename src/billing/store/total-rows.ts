import { sql, type Kysely } from 'kysely'
import type { PriceBook } from '../../model/price-book.ts'
import { edgesOf, TotalsSum, wholeDays, type TotalsQuery, type UsageTotal } from '../usage-totals.ts'
import { accountOf } from './account-rows.ts'
import { readDayTotals } from './day-total-rows.ts'
import { chunks, rowsPerInsert } from './event-rows.ts'
import type { LedgerSchema } from './schema.ts'

/**
 * Whole days from the kept sums; Pod by Pod what is not in them: accounts that grow, and what ran in the parts of days
 * at both ends of the period.
 */
export async function readTotals(
  db: Kysely<LedgerSchema>,
  query: TotalsQuery,
  books: ReadonlyMap<string, PriceBook>,
): Promise<UsageTotal[]> {
  const sum = new TotalsSum(query)
  const whole = wholeDays(query.period)
  if (whole.fromMs < whole.toMs) {
    for (const kept of await readDayTotals(db, whole, query)) sum.addKept(kept)
  }
  for (const podUids of chunks(await singlePods(db, query), rowsPerInsert)) {
    const rows = await db
      .selectFrom('account')
      .select(['pod_uid', 'counted', 'body'])
      .where('pod_uid', 'in', podUids)
      .execute()
    for (const own of Map.groupBy(rows, ({ pod_uid }) => pod_uid).values()) {
      sum.addPod(
        own.map(({ body, counted }) => ({ account: accountOf(body), kept: counted === 1n })),
        books,
      )
    }
  }
  return sum.totals()
}

async function singlePods(db: Kysely<LedgerSchema>, { period }: TotalsQuery): Promise<string[]> {
  const found = new Set<string>()
  const growing = await db
    .selectFrom('account')
    .select('pod_uid')
    // Written out, and not a parameter: only then SQLite sees that the index of just these rows will do.
    .where('counted', '=', sql.lit(0n))
    .where('start_ms', '<', BigInt(period.toMs))
    .where((where) => where.or([where('end_ms', 'is', null), where('end_ms', '>=', BigInt(period.fromMs))]))
    .execute()
  for (const { pod_uid } of growing) found.add(pod_uid)
  for (const { fromMs, toMs } of edgesOf(period)) {
    const atEdge = await db
      .selectFrom('account')
      .select('pod_uid')
      .where('counted', '=', 1n)
      .where('end_ms', '>', BigInt(fromMs))
      .where('start_ms', '<', BigInt(toMs))
      .execute()
    for (const { pod_uid } of atEdge) found.add(pod_uid)
  }
  return [...found]
}
