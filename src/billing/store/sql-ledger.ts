import type { Kysely, Selectable, Transaction } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent, UsageFact } from '../../model/usage.ts'
import type { Period } from '../charges.ts'
import type { AppendOutcome, EventPage, StoredEvent } from '../ledger.ts'
import { bookDifferences } from '../book-differences.ts'
import { chainHash, decodeJson, encodeJson, genesisHash } from '../ledger-json.ts'
import { projectPod, type Adjustment, type PodHistory, type UsageInterval } from '../projection.ts'
import type { LedgerSchema } from './schema.ts'

// SQLite takes 32,766 parameters in a statement; an event has twelve.
const rowsPerInsert = 500

/** Throws unless this program may still write; called first in each transaction that writes. */
export type WriteGuard = (transaction: Transaction<LedgerSchema>) => Promise<void>

/** The ledger's SQL, in what SQLite and PostgreSQL share. One call at a time: whoever holds it sees to that. */
export class SqlLedger {
  readonly #db: Kysely<LedgerSchema>
  readonly #guard: WriteGuard

  constructor(db: Kysely<LedgerSchema>, guard: WriteGuard) {
    this.#db = db
    this.#guard = guard
  }

  /** One transaction, however many events: that is the group commit. */
  async append(events: readonly UsageEvent[]): Promise<AppendOutcome[]> {
    return await this.#db.transaction().execute(async (transaction) => {
      await this.#guard(transaction)
      const known = await knownContents(transaction, events)
      const fresh: UsageEvent[] = []
      const outcomes = events.map((event): AppendOutcome => {
        const contents = contentsOf(event)
        const before = known.get(event.id)
        if (before !== undefined) return before === contents ? 'duplicate' : 'differs'
        known.set(event.id, contents)
        fresh.push(event)
        return 'appended'
      })
      await insertEvents(transaction, fresh)
      for (const podUid of new Set(fresh.map((event) => event.podUid))) {
        await rewriteIntervals(transaction, podUid)
      }
      return outcomes
    })
  }

  async history(podUid: PodUid): Promise<PodHistory> {
    return await readHistory(this.#db, podUid)
  }

  async intervals({ fromMs, toMs }: Period): Promise<UsageInterval[]> {
    const rows = await this.#db
      .selectFrom('interval')
      .select('body')
      .where('start_ms', '<', BigInt(toMs))
      .where((where) => where.or([where('end_ms', 'is', null), where('end_ms', '>=', BigInt(fromMs))]))
      .orderBy('start_ms')
      .orderBy('pod_uid')
      .orderBy('incarnation')
      .execute()
    return rows.map(({ body }) => intervalOf(body))
  }

  async openIntervals(): Promise<UsageInterval[]> {
    const rows = await this.#db
      .selectFrom('interval')
      .select('body')
      .where('end_ms', 'is', null)
      .orderBy('start_ms')
      .orderBy('pod_uid')
      .execute()
    return rows.map(({ body }) => intervalOf(body))
  }

  async adjustments({ fromMs, toMs }: Period): Promise<Adjustment[]> {
    const rows = await this.#db
      .selectFrom('event')
      .selectAll()
      .where('kind', '=', 'ADJUSTED')
      .where('at_ms', '>=', BigInt(fromMs))
      .where('at_ms', '<', BigInt(toMs))
      .orderBy('seq')
      .execute()
    return rows.flatMap((row) => {
      const { podUid, incarnation, atMs, fact } = eventOf(row)
      if (fact.kind !== 'ADJUSTED') return []
      const { amount, currency, reason } = fact
      return [{ podUid, incarnation, atMs, amount, currency, reason }]
    })
  }

  async events({ afterSeq, limit }: EventPage): Promise<StoredEvent[]> {
    const rows = await this.#db
      .selectFrom('event')
      .selectAll()
      .where('seq', '>', BigInt(afterSeq))
      .orderBy('seq')
      .limit(limit)
      .execute()
    return rows.map((row) => ({
      seq: Number(row.seq),
      event: eventOf(row),
      body: row.body,
      prevHash: row.prev_hash,
      hash: row.hash,
    }))
  }

  async keepPriceBooks(books: readonly PriceBook[]): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      await this.#guard(transaction)
      for (const book of books) {
        const body = encodeJson(book)
        const kept = await transaction
          .selectFrom('price_book')
          .select('body')
          .where('id', '=', book.id)
          .executeTakeFirst()
        const differences = kept ? bookDifferences(decodeJson(kept.body) as PriceBook, book) : []
        if (differences.length > 0) {
          throw new SpillwayError(
            'Rejected',
            `price book "${book.id}" differs from the one that the ledger has billed by (${differences.join('; ')}); a changed book needs an id of its own`,
          )
        }
        if (!kept) await transaction.insertInto('price_book').values({ id: book.id, body }).execute()
      }
    })
  }

  async priceBooks(): Promise<PriceBook[]> {
    const rows = await this.#db.selectFrom('price_book').select('body').orderBy('id').execute()
    return rows.map(({ body }) => decodeJson(body) as PriceBook)
  }
}

async function knownContents(
  db: Transaction<LedgerSchema>,
  events: readonly UsageEvent[],
): Promise<Map<string, string>> {
  const known = new Map<string, string>()
  for (const part of chunks(events, rowsPerInsert)) {
    const rows = await db
      .selectFrom('event')
      .selectAll()
      .where(
        'event_id',
        'in',
        part.map(({ id }) => id),
      )
      .execute()
    for (const row of rows) known.set(row.event_id, contentsOf(eventOf(row)))
  }
  return known
}

/** What makes two events of one id the same. When it was seen does not; nor the exact instant of a heartbeat. */
function contentsOf({ atMs, fact }: UsageEvent): string {
  return fact.kind === 'OPENED' || fact.kind === 'CLOSED' || fact.kind === 'ADJUSTED'
    ? encodeJson([atMs, fact])
    : fact.kind
}

async function insertEvents(db: Transaction<LedgerSchema>, events: readonly UsageEvent[]): Promise<void> {
  const head = await db
    .selectFrom('event')
    .select(['seq', 'hash'])
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  let seq = Number(head?.seq ?? 0n)
  let prevHash = head?.hash ?? genesisHash
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

async function rewriteIntervals(db: Transaction<LedgerSchema>, podUid: PodUid): Promise<void> {
  const { intervals } = await readHistory(db, podUid)
  await db.deleteFrom('interval').where('pod_uid', '=', podUid).execute()
  if (intervals.length === 0) return
  await db
    .insertInto('interval')
    .values(
      intervals.map((interval) => ({
        pod_uid: interval.podUid,
        incarnation: interval.incarnation,
        start_ms: interval.startMs,
        end_ms: interval.endMs ?? null,
        body: encodeJson(interval),
      })),
    )
    .execute()
}

/** Of the heartbeats only the last of each sandbox is read: a month of them would be thousands. */
async function readHistory(db: Kysely<LedgerSchema>, podUid: PodUid): Promise<PodHistory> {
  const facts = await db
    .selectFrom('event')
    .selectAll()
    .where('pod_uid', '=', podUid)
    .where('kind', '!=', 'OBSERVED')
    .execute()
  const events = facts.map(eventOf)
  for (const incarnation of new Set(events.map((event) => event.incarnation))) {
    const last = await db
      .selectFrom('event')
      .selectAll()
      .where('pod_uid', '=', podUid)
      .where('kind', '=', 'OBSERVED')
      .where('incarnation', '=', BigInt(incarnation))
      .orderBy('at_ms', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (last) events.push(eventOf(last))
  }
  return projectPod(podUid, events)
}

function eventOf(row: Selectable<LedgerSchema['event']>): UsageEvent {
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

/** JSON leaves out what is undefined, so the open end comes back as such. */
function intervalOf(body: string): UsageInterval {
  const absent = { endMs: undefined, confidence: undefined, closeReason: undefined, stoppingMs: undefined }
  return { ...absent, pod: undefined, ...(decodeJson(body) as Partial<UsageInterval>) } as UsageInterval
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
