import type { Kysely } from 'kysely'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import { podAccounts } from '../accounts.ts'
import type { SequencedEvent, StoredPod } from '../ledger.ts'
import { sealedUntil } from '../seal.ts'
import { added, dayTotalKey, dayTotals, type DayTotal } from '../usage-totals.ts'
import {
  accountOf,
  accountRow,
  insertAccounts,
  insertAdjustments,
  type ProjectionRules,
} from './account-rows.ts'
import { addToDayTotals } from './day-total-rows.ts'
import { readPodEvents, rowsPerInsert } from './event-rows.ts'
import { readHeartbeats } from './heartbeat-rows.ts'
import type { LedgerSchema } from './schema.ts'

/** Raised whenever the same events would come to other projections: the next opening makes them anew. */
const projectionVersion = 1n

export async function areProjectionsCurrent(db: Kysely<LedgerSchema>): Promise<boolean> {
  const row = await db.selectFrom('projection').select('version').executeTakeFirst()
  return row?.version === projectionVersion
}

/** Everything but events, heartbeats, seals and price books, from empty. In the caller's transaction: whole, or not at all. */
export async function rebuildProjections(db: Kysely<LedgerSchema>, rules: ProjectionRules): Promise<void> {
  for (const table of ['account', 'day_total', 'adjustment', 'projection'] as const) {
    await db.deleteFrom(table).execute()
  }
  const totals = new Map<string, DayTotal>()
  let after = ''
  for (;;) {
    const podUids = await podsAfter(db, 'event', after, rowsPerInsert)
    if (podUids.length === 0) break
    after = podUids.at(-1) ?? after
    const events = await readPodEvents(db, podUids, headsOf(rules))
    const rows = [...events].flatMap(([podUid, own]) => {
      const accounts = podAccounts(podUid, own, rules.seals)
      const built = accounts.map((account) => accountRow(account, rules.books))
      const counted = accounts.filter((_account, index) => built[index]?.counted === 1)
      for (const total of dayTotals(counted, rules.books)) {
        const key = dayTotalKey(total)
        const known = totals.get(key)
        totals.set(key, known ? added(known, total) : total)
      }
      return built
    })
    await insertAccounts(db, rows)
    await rebuildAdjustments(db, [...events.values()].flat(), rules)
  }
  await addToDayTotals(db, totals)
  await db.insertInto('projection').values({ version: projectionVersion }).execute()
}

export async function readStoredPods(
  db: Kysely<LedgerSchema>,
  page: { readonly afterPodUid: string; readonly limit: number },
  rules: ProjectionRules,
): Promise<StoredPod[]> {
  const known = new Set<string>()
  for (const table of ['event', 'account'] as const) {
    for (const podUid of await podsAfter(db, table, page.afterPodUid, page.limit)) known.add(podUid)
  }
  const podUids = [...known].sort().slice(0, page.limit).map(asPodUid)
  if (podUids.length === 0) return []
  // Before the log, which has by then what of them decides.
  const lastSeen = Map.groupBy(await readHeartbeats(db, podUids), ({ podUid }) => podUid)
  const events = await readPodEvents(db, podUids, headsOf(rules))
  const rows = await db
    .selectFrom('account')
    .select(['pod_uid', 'body'])
    .where('pod_uid', 'in', podUids)
    .orderBy('pod_uid')
    .orderBy('incarnation')
    .orderBy('sealed_until_ms')
    .execute()
  const accounts = Map.groupBy(rows, ({ pod_uid }) => pod_uid)
  return podUids.map((podUid) => ({
    podUid,
    events: events.get(podUid) ?? [],
    accounts: (accounts.get(podUid) ?? []).map(({ body }) => accountOf(body)),
    lastSeen: lastSeen.get(podUid) ?? [],
  }))
}

async function podsAfter(
  db: Kysely<LedgerSchema>,
  table: 'event' | 'account',
  after: string,
  limit: number,
): Promise<PodUid[]> {
  const rows = await db
    .selectFrom(table)
    .select('pod_uid')
    .distinct()
    .where('pod_uid', '>', after)
    .orderBy('pod_uid')
    .limit(limit)
    .execute()
  return rows.map(({ pod_uid }) => asPodUid(pod_uid))
}

/** Nothing hangs on other heartbeats than the last before each seal, and of all. */
function headsOf({ seals }: ProjectionRules): number[] {
  return seals.map(({ head }) => head.seq)
}

/** Dated as they were when they came, by the seals of that time. */
async function rebuildAdjustments(
  db: Kysely<LedgerSchema>,
  events: readonly SequencedEvent[],
  { seals }: ProjectionRules,
): Promise<void> {
  const bySeal = Map.groupBy(
    events.filter(({ event }) => event.fact.kind === 'ADJUSTED'),
    ({ seq }) => sealedUntil(seals.filter(({ head }) => head.seq < seq)),
  )
  for (const [sealedUntilMs, own] of bySeal) {
    await insertAdjustments(
      db,
      own.map(({ event }) => event),
      sealedUntilMs,
    )
  }
}
