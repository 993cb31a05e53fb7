import type { Kysely } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import type { UsageEvent } from '../../model/usage.ts'
import type { Period } from '../charges.ts'
import { observedEvent, sandboxKey } from '../heartbeats.ts'
import type { OpenQuestion, SequencedEvent } from '../ledger.ts'
import { encodeJson, genesisHash } from '../ledger-json.ts'
import { projectPod } from '../projection.ts'
import { decodeSeal, encodeSeal, sealHash, sealedUntil, type Seal, type SealDraft } from '../seal.ts'
import { readOpenAccounts, type ProjectionRules } from './account-rows.ts'
import { chunks, readHead, readPodEvents, rowsPerInsert } from './event-rows.ts'
import { readHeartbeats } from './heartbeat-rows.ts'
import type { LedgerSchema } from './schema.ts'
import { tellEvents } from './tell-events.ts'

const mostQuestions = 100

export async function readSeals(db: Kysely<LedgerSchema>): Promise<Seal[]> {
  const rows = await db.selectFrom('seal').selectAll().orderBy('number').execute()
  return rows.map(({ body, prev_hash, hash }) => decodeSeal({ body, prevHash: prev_hash, hash }))
}

/** In a transaction of the caller's. */
export async function insertSeal(
  db: Kysely<LedgerSchema>,
  draft: SealDraft,
  rules: ProjectionRules,
): Promise<Seal> {
  const { seals } = rules
  const { fromMs, toMs } = draft.period
  const last = seals.at(-1)
  if (fromMs < sealedUntil(seals) || toMs <= fromMs) {
    throw new SpillwayError(
      'Rejected',
      `everything before ${new Date(sealedUntil(seals)).toISOString()} is sealed already`,
    )
  }
  if (await hasChangedBefore(db, toMs, draft.readUpToSeq)) {
    throw new SpillwayError('Busy', 'the ledger was told more of the period while it was being sealed')
  }
  await tellEvents(db, { facts: await lastSeenBefore(db, toMs) }, rules)
  const head = await readHead(db)
  const number = seals.length + 1
  const prevHash = last?.hash ?? genesisHash
  const body = encodeSeal({ ...draft, number, head })
  const hash = sealHash(prevHash, body)
  await db.insertInto('seal').values({ number, body, prev_hash: prevHash, hash }).execute()
  return decodeSeal({ body, prevHash, hash })
}

/**
 * What shows that what runs ran to the period's end, or when it was last seen: the seal relies on it, so it is written
 * into the log that the seal covers.
 */
async function lastSeenBefore(db: Kysely<LedgerSchema>, toMs: number): Promise<UsageEvent[]> {
  const open = await readOpenAccounts(db)
  const relied = open.filter(({ startMs, observedUntilMs }) => startMs < toMs && observedUntilMs < toMs)
  const inLog = new Map(relied.map((account) => [sandboxKey(account), account.observedUntilMs]))
  const lastSeen = await readHeartbeats(db, [...new Set(relied.map(({ podUid }) => podUid))])
  return lastSeen
    .filter((seen) => seen.atMs > (inLog.get(sandboxKey(seen)) ?? Infinity))
    .map((seen) => observedEvent(seen))
}

/** Whether what is billed before then is not what the log up to there said. */
async function hasChangedBefore(
  db: Kysely<LedgerSchema>,
  toMs: number,
  readUpToSeq: number,
): Promise<boolean> {
  const later = db.selectFrom('event').where('seq', '>', BigInt(readUpToSeq))
  const early = await later
    .select('seq')
    .where('kind', '!=', 'OBSERVED')
    .where('at_ms', '<', BigInt(toMs))
    .limit(1)
    .executeTakeFirst()
  if (early) return true
  // A fact from after the end may tell of times before it: a size, a better end, a next sandbox without an end of the last.
  const pods = await later.select('pod_uid').distinct().execute()
  for (const part of chunks(pods, rowsPerInsert)) {
    const podUids = part.map(({ pod_uid }) => asPodUid(pod_uid))
    for (const [podUid, events] of await readPodEvents(db, podUids, [readUpToSeq])) {
      const read = events.filter(({ seq }) => seq <= readUpToSeq)
      if (timesBefore(toMs, podUid, read) !== timesBefore(toMs, podUid, events)) return true
    }
  }
  return false
}

/** All that lines of that time are made from. */
function timesBefore(toMs: number, podUid: PodUid, events: readonly SequencedEvent[]): string {
  const { intervals } = projectPod(
    podUid,
    events.map(({ event }) => event),
  )
  return encodeJson(
    intervals
      .filter(({ startMs }) => startMs < toMs)
      .map(({ incarnation, startMs, endMs = toMs, segments }) => ({
        incarnation,
        startMs,
        endMs: Math.min(endMs, toMs),
        segments: segments.filter(({ fromMs }) => fromMs < toMs),
      })),
  )
}

export async function readOpenQuestions(db: Kysely<LedgerSchema>, period: Period): Promise<OpenQuestion[]> {
  const asked = db
    .selectFrom('event as asked')
    .select(['asked.pod_uid', 'asked.at_ms', 'asked.kind'])
    .where('asked.at_ms', '>=', BigInt(period.fromMs))
    .where('asked.at_ms', '<', BigInt(period.toMs))
    .orderBy('asked.at_ms')
    .limit(mostQuestions)
  const starts = await asked
    .where('asked.kind', '=', 'INTENT')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('event as outcome')
            .select('outcome.seq')
            .whereRef('outcome.pod_uid', '=', 'asked.pod_uid')
            .where('outcome.kind', 'in', ['OPENED', 'VOIDED']),
        ),
      ),
    )
    .execute()
  const resizes = await asked
    .where('asked.kind', '=', 'RESIZING')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('event as outcome')
            .select('outcome.seq')
            .whereRef('outcome.pod_uid', '=', 'asked.pod_uid')
            .where('outcome.kind', 'in', ['RESIZED', 'VOIDED'])
            .whereRef('outcome.at_ms', '>=', 'asked.at_ms'),
        ),
      ),
    )
    // What has ended meanwhile is billed at the size that it had.
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('account')
          .select('account.pod_uid')
          .whereRef('account.pod_uid', '=', 'asked.pod_uid')
          .where('account.end_ms', 'is', null),
      ),
    )
    .execute()
  return [...starts, ...resizes].map(({ pod_uid, kind, at_ms }) => ({
    podUid: asPodUid(pod_uid),
    kind: kind as OpenQuestion['kind'],
    atMs: Number(at_ms),
  }))
}
