import type { Kysely, Selectable } from 'kysely'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import type { UsageEvent, UsageFact } from '../../model/usage.ts'
import type { Heartbeat } from '../heartbeats.ts'
import type { SequencedEvent } from '../ledger.ts'
import { chainHash, decodeJson, encodeJson, genesisHash } from '../ledger-json.ts'
import type { LedgerSchema } from './schema.ts'

// SQLite takes 32,766 parameters in a statement; an event has twelve.
export const rowsPerInsert = 500

export function eventOf(row: Selectable<LedgerSchema['event']>): UsageEvent {
  return { id: row.event_id, ...heartbeatOfRow(row), fact: decodeJson(row.body) as UsageFact }
}

/** Of either table: what an event and a heartbeat have in common. */
export function heartbeatOfRow(row: Selectable<LedgerSchema['heartbeat']>): Heartbeat {
  return {
    clusterUid: row.cluster_uid,
    podUid: asPodUid(row.pod_uid),
    incarnation: Number(row.incarnation),
    atMs: Number(row.at_ms),
    observedMs: Number(row.observed_ms),
    source: row.source as UsageEvent['source'],
  }
}

export function heartbeatRow({ clusterUid, podUid, incarnation, atMs, observedMs, source }: Heartbeat) {
  return {
    cluster_uid: clusterUid,
    pod_uid: podUid,
    incarnation,
    at_ms: atMs,
    observed_ms: observedMs,
    source,
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
      ...heartbeatRow(event),
      kind: event.fact.kind,
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
 * What has a part in the projection of these Pods, in the order of the log. Of the heartbeats only the last of each
 * sandbox is read, up to each of these places in the log and after them: a month of them would be thousands.
 */
export async function readPodEvents(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
  placesSeq: readonly number[] = [],
): Promise<Map<PodUid, SequencedEvent[]>> {
  const byPod = new Map<PodUid, SequencedEvent[]>(podUids.map((podUid) => [podUid, []]))
  const keep = (rows: readonly Selectable<LedgerSchema['event']>[]): void => {
    for (const row of rows)
      byPod.get(asPodUid(row.pod_uid))?.push({ seq: Number(row.seq), event: eventOf(row) })
  }
  for (const part of chunks(podUids, rowsPerInsert)) {
    const told = db.selectFrom('event').selectAll().where('pod_uid', 'in', part)
    keep(await told.where('kind', '!=', 'OBSERVED').execute())
    for (const [index, afterSeq] of [undefined, ...placesSeq].entries()) {
      keep(await readLastObserved(db, part, { afterSeq, upToSeq: placesSeq[index] }))
    }
  }
  for (const own of byPod.values()) own.sort((a, b) => a.seq - b.seq)
  return byPod
}

interface PartOfLog {
  readonly afterSeq: number | undefined
  readonly upToSeq: number | undefined
}

async function readLastObserved(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
  { afterSeq, upToSeq }: PartOfLog,
): Promise<Selectable<LedgerSchema['event']>[]> {
  const last = db
    .selectFrom('event')
    .select(['pod_uid', 'incarnation'])
    .select(({ fn }) => fn.max('at_ms').as('at_ms'))
    .where('pod_uid', 'in', podUids)
    .where('kind', '=', 'OBSERVED')
    // Of the whole log the index alone answers, which does not have the numbers.
    .$if(afterSeq !== undefined, (query) => query.where('seq', '>', BigInt(afterSeq ?? 0)))
    .$if(upToSeq !== undefined, (query) => query.where('seq', '<=', BigInt(upToSeq ?? 0)))
    .groupBy(['pod_uid', 'incarnation'])
    .as('last')
  return await db
    .selectFrom(last)
    // Not an inner join: without statistics SQLite would begin with every heartbeat of the ledger.
    .crossJoin('event')
    .whereRef('event.pod_uid', '=', 'last.pod_uid')
    .whereRef('event.incarnation', '=', 'last.incarnation')
    .whereRef('event.at_ms', '=', 'last.at_ms')
    .where('event.kind', '=', 'OBSERVED')
    .$if(afterSeq !== undefined, (query) => query.where('event.seq', '>', BigInt(afterSeq ?? 0)))
    .$if(upToSeq !== undefined, (query) => query.where('event.seq', '<=', BigInt(upToSeq ?? 0)))
    .selectAll('event')
    .execute()
}

export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
