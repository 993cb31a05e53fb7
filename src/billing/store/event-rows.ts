import type { Kysely, Selectable } from 'kysely'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import type { UsageEvent, UsageFact } from '../../model/usage.ts'
import { chainHash, decodeJson, encodeJson, genesisHash } from '../ledger-json.ts'
import type { LedgerSchema } from './schema.ts'

// SQLite takes 32,766 parameters in a statement; an event has twelve.
export const rowsPerInsert = 500

export function eventOf(row: Selectable<LedgerSchema['event']>): UsageEvent {
  return {
    id: row.event_id,
    clusterUid: row.cluster_uid,
    podUid: asPodUid(row.pod_uid),
    incarnation: Number(row.incarnation),
    atMs: Number(row.at_ms),
    observedMs: Number(row.observed_ms),
    source: row.source as UsageEvent['source'],
    fact: decodeJson(row.body) as UsageFact,
  }
}

export async function readHead(db: Kysely<LedgerSchema>): Promise<{ seq: number; hash: string }> {
  const head = await db
    .selectFrom('event')
    .select(['seq', 'hash'])
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return { seq: Number(head?.seq ?? 0n), hash: head?.hash ?? genesisHash }
}

/** Chains them to what there is. */
export async function insertEvents(db: Kysely<LedgerSchema>, events: readonly UsageEvent[]): Promise<void> {
  if (events.length === 0) return
  let { seq, hash: prevHash } = await readHead(db)
  const rows = events.map((event) => {
    seq += 1
    const body = encodeJson(event.fact)
    const hash = chainHash(prevHash, seq, event, body)
    const row = {
      seq,
      event_id: event.id,
      cluster_uid: event.clusterUid,
      pod_uid: event.podUid,
      incarnation: event.incarnation,
      kind: event.fact.kind,
      at_ms: event.atMs,
      observed_ms: event.observedMs,
      source: event.source,
      body,
      prev_hash: prevHash,
      hash,
    }
    prevHash = hash
    return row
  })
  for (const part of chunks(rows, rowsPerInsert)) await db.insertInto('event').values(part).execute()
}

/**
 * What has a part in the projection of these Pods. Of the heartbeats only the last of each sandbox is read: a month of
 * them would be thousands.
 */
export async function readPodEvents(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
): Promise<Map<PodUid, UsageEvent[]>> {
  const byPod = new Map<PodUid, UsageEvent[]>(podUids.map((podUid) => [podUid, []]))
  const keep = (rows: readonly Selectable<LedgerSchema['event']>[]): void => {
    for (const row of rows) byPod.get(asPodUid(row.pod_uid))?.push(eventOf(row))
  }
  for (const part of chunks(podUids, rowsPerInsert)) {
    keep(
      await db
        .selectFrom('event')
        .selectAll()
        .where('pod_uid', 'in', part)
        .where('kind', '!=', 'OBSERVED')
        .execute(),
    )
    const last = db
      .selectFrom('event')
      .select(['pod_uid', 'incarnation'])
      .select(({ fn }) => fn.max('at_ms').as('at_ms'))
      .where('pod_uid', 'in', part)
      .where('kind', '=', 'OBSERVED')
      .groupBy(['pod_uid', 'incarnation'])
      .as('last')
    keep(
      await db
        .selectFrom(last)
        // Not an inner join: without statistics SQLite would begin with every heartbeat of the ledger.
        .crossJoin('event')
        .whereRef('event.pod_uid', '=', 'last.pod_uid')
        .whereRef('event.incarnation', '=', 'last.incarnation')
        .whereRef('event.at_ms', '=', 'last.at_ms')
        .where('event.kind', '=', 'OBSERVED')
        .selectAll('event')
        .execute(),
    )
  }
  return byPod
}

export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
