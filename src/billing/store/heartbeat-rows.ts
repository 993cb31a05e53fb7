import type { Kysely } from 'kysely'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import { asLastSeen, sandboxKey, type Heartbeat } from '../heartbeats.ts'
import type { UsageInterval } from '../projection.ts'
import { chunks, heartbeatOfRow, heartbeatRow, rowsPerInsert } from './event-rows.ts'
import type { Int64, LedgerSchema } from './schema.ts'
import { orderedText, type SqlDialect } from './sql-dialect.ts'

export interface HeartbeatTable {
  /** One row a sandbox, changed in place: the last of all that were told, also of those that the log has. */
  heartbeat: {
    pod_uid: string
    incarnation: Int64
    cluster_uid: string
    at_ms: Int64
    observed_ms: Int64
    source: string
  }
}

/** Empty: what an older program wrote of heartbeats is in the log, where it stays and counts on. */
export async function createHeartbeatTable(db: Kysely<LedgerSchema>, dialect: SqlDialect): Promise<void> {
  const text = orderedText(dialect)
  await db.schema
    .createTable('heartbeat')
    .addColumn('pod_uid', text, (column) => column.notNull())
    .addColumn('incarnation', 'bigint', (column) => column.notNull())
    .addColumn('cluster_uid', text, (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('observed_ms', 'bigint', (column) => column.notNull())
    .addColumn('source', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('heartbeat_key', ['pod_uid', 'incarnation'])
    .execute()
}

/** In the order of Pods and their sandboxes. */
export async function readHeartbeats(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
): Promise<Heartbeat[]> {
  const found: Heartbeat[] = []
  for (const part of chunks(podUids, rowsPerInsert)) {
    const rows = await db
      .selectFrom('heartbeat')
      .selectAll()
      .where('pod_uid', 'in', part)
      .orderBy('pod_uid')
      .orderBy('incarnation')
      .execute()
    found.push(...rows.map(heartbeatOfRow))
  }
  return found
}

/** Of those Pods that come after it in order; all of each Pod, and of `limit` Pods at most. */
export async function readHeartbeatPage(
  db: Kysely<LedgerSchema>,
  { afterPodUid, limit }: { readonly afterPodUid: string; readonly limit: number },
): Promise<Heartbeat[]> {
  const pods = await db
    .selectFrom('heartbeat')
    .select('pod_uid')
    .distinct()
    .where('pod_uid', '>', afterPodUid)
    .orderBy('pod_uid')
    .limit(limit)
    .execute()
  return await readHeartbeats(
    db,
    pods.map(({ pod_uid }) => asPodUid(pod_uid)),
  )
}

/** Over the ones that are there: at most one of each sandbox. */
export async function keepHeartbeats(
  db: Kysely<LedgerSchema>,
  heartbeats: readonly Heartbeat[],
): Promise<void> {
  const rows = heartbeats.map(heartbeatRow)
  for (const part of chunks(rows, rowsPerInsert)) {
    await db
      .insertInto('heartbeat')
      .values(part)
      .onConflict((conflict) =>
        conflict.columns(['pod_uid', 'incarnation']).doUpdateSet(({ ref }) => ({
          cluster_uid: ref('excluded.cluster_uid'),
          at_ms: ref('excluded.at_ms'),
          observed_ms: ref('excluded.observed_ms'),
          source: ref('excluded.source'),
        })),
      )
      .execute()
  }
}

/** Pods of sandboxes that do not run, as far as their accounts say: there a heartbeat may decide something. */
export async function podsThatDoNotRun(
  db: Kysely<LedgerSchema>,
  heartbeats: readonly Heartbeat[],
): Promise<PodUid[]> {
  const running = new Set<string>()
  const podUids = new Set(heartbeats.map(({ podUid }) => podUid))
  for (const part of chunks([...podUids], rowsPerInsert)) {
    const rows = await db
      .selectFrom('account')
      .select(['pod_uid', 'incarnation', 'end_ms'])
      .where('pod_uid', 'in', part)
      .where('sealed_until_ms', '=', 0n)
      .execute()
    // Asked for here, and not there: without statistics SQLite would go through all that is open.
    for (const { pod_uid, incarnation } of rows.filter(({ end_ms }) => end_ms === null))
      running.add(sandboxKey({ podUid: asPodUid(pod_uid), incarnation: Number(incarnation) }))
  }
  const others = heartbeats.filter((heartbeat) => !running.has(sandboxKey(heartbeat)))
  return [...new Set(others.map(({ podUid }) => podUid))]
}

/** Accounts as they are given out: those of what runs with when it was last seen. */
export async function withLastSeen(
  db: Kysely<LedgerSchema>,
  accounts: readonly UsageInterval[],
): Promise<readonly UsageInterval[]> {
  const open = accounts.filter(({ endMs }) => endMs === undefined)
  if (open.length === 0) return accounts
  const lastSeen = await readHeartbeats(db, [...new Set(open.map(({ podUid }) => podUid))])
  const byKey = Map.groupBy(lastSeen, sandboxKey)
  return accounts.map((account) =>
    account.endMs === undefined ? asLastSeen(account, byKey.get(sandboxKey(account)) ?? []) : account,
  )
}
