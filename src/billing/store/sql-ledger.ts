import type { Kysely, Transaction } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import type { PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent } from '../../model/usage.ts'
import { bookDifferences } from '../book-differences.ts'
import type { Period } from '../charges.ts'
import type { AppendOutcome, EventPage, OpenQuestion, PodPage, StoredEvent, StoredPod } from '../ledger.ts'
import { decodeJson, encodeJson } from '../ledger-json.ts'
import { projectPod, type Adjustment, type PodHistory, type UsageInterval } from '../projection.ts'
import { sealedUntil, type Seal, type SealDraft } from '../seal.ts'
import type { DayTotal, TotalsQuery, UsageTotal } from '../usage-totals.ts'
import {
  accountOf,
  countWhatEnded,
  insertAdjustments,
  projectEvents,
  type ProjectionRules,
} from './account-rows.ts'
import { copyLog, type LogSource } from './copy-log.ts'
import { readDayTotals } from './day-total-rows.ts'
import { chunks, eventOf, insertEvents, readHead, readPodEvents, rowsPerInsert } from './event-rows.ts'
import { areProjectionsCurrent, readStoredPods, rebuildProjections } from './rebuild.ts'
import type { LedgerSchema } from './schema.ts'
import { insertSeal, readOpenQuestions, readSeals } from './seal-rows.ts'
import { readTotals } from './total-rows.ts'

/** Throws unless this program may still write; called first in each transaction that writes. */
export type WriteGuard = (transaction: Transaction<LedgerSchema>) => Promise<void>

/** The ledger's SQL, in what SQLite and PostgreSQL share. One call at a time: whoever holds it sees to that. */
export class SqlLedger {
  readonly #db: Kysely<LedgerSchema>
  readonly #guard: WriteGuard
  /** They never change; one that is not here may have been kept meanwhile. */
  #books: ReadonlyMap<string, PriceBook> = new Map()

  constructor(db: Kysely<LedgerSchema>, guard: WriteGuard) {
    this.#db = db
    this.#guard = guard
  }

  /**
   * To be called once, before anything else. What an older program projected is made anew from the events; a reader,
   * which changes nothing, is told to let a writer do that.
   */
  async open({ readOnly }: { readonly readOnly: boolean }): Promise<void> {
    if (await areProjectionsCurrent(this.#db)) return
    if (!readOnly) {
      await this.rebuild()
      return
    }
    throw new SpillwayError(
      'Rejected',
      "the ledger's projections are of another version of Spillway: let `spillway run` open it once, or `spillway ledger rebuild`",
    )
  }

  /** One transaction, however many events: that is the group commit. */
  async append(events: readonly UsageEvent[]): Promise<AppendOutcome[]> {
    return await this.#write(async (transaction) => {
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
      if (fresh.length === 0) return outcomes
      const rules = await this.#rules(transaction, fresh)
      const corrections = await projectEvents(transaction, fresh, rules)
      await insertEvents(transaction, fresh)
      await insertEvents(transaction, corrections)
      await insertAdjustments(transaction, corrections, sealedUntil(rules.seals))
      return outcomes
    })
  }

  async history(podUid: PodUid): Promise<PodHistory> {
    const events = await readPodEvents(this.#db, [podUid])
    return projectPod(
      podUid,
      (events.get(podUid) ?? []).map(({ event }) => event),
    )
  }

  async intervals({ fromMs, toMs }: Period): Promise<UsageInterval[]> {
    const rows = await this.#db
      .selectFrom('account')
      .select('body')
      .where('start_ms', '<', BigInt(toMs))
      .where((where) => where.or([where('end_ms', 'is', null), where('end_ms', '>=', BigInt(fromMs))]))
      .orderBy('start_ms')
      .orderBy('pod_uid')
      .orderBy('incarnation')
      .execute()
    return rows.map(({ body }) => accountOf(body))
  }

  async openIntervals(): Promise<UsageInterval[]> {
    const rows = await this.#db
      .selectFrom('account')
      .select('body')
      .where('end_ms', 'is', null)
      .orderBy('start_ms')
      .orderBy('pod_uid')
      .execute()
    return rows.map(({ body }) => accountOf(body))
  }

  async adjustments({ fromMs, toMs }: Period): Promise<Adjustment[]> {
    const rows = await this.#db
      .selectFrom('adjustment')
      .select('body')
      .where('at_ms', '>=', BigInt(fromMs))
      .where('at_ms', '<', BigInt(toMs))
      .orderBy('at_ms')
      .orderBy('event_id')
      .execute()
    return rows.map(({ body }) => decodeJson(body) as Adjustment)
  }

  async totals(query: TotalsQuery): Promise<UsageTotal[]> {
    return await readTotals(this.#db, query, await readBooks(this.#db))
  }

  async keptTotals(): Promise<DayTotal[]> {
    return await readDayTotals(this.#db, { fromMs: Number.MIN_SAFE_INTEGER, toMs: Number.MAX_SAFE_INTEGER })
  }

  async head(): Promise<{ readonly seq: number; readonly hash: string }> {
    return await readHead(this.#db)
  }

  async seals(): Promise<Seal[]> {
    return await readSeals(this.#db)
  }

  async seal(draft: SealDraft): Promise<Seal> {
    return await this.#write((transaction) => insertSeal(transaction, draft))
  }

  async pods(page: PodPage): Promise<StoredPod[]> {
    return await readStoredPods(this.#db, page, await this.#rules(this.#db))
  }

  async openQuestions(period: Period): Promise<OpenQuestion[]> {
    return await readOpenQuestions(this.#db, period)
  }

  async rebuild(): Promise<void> {
    await this.#write(async (transaction) => rebuildProjections(transaction, await this.#rules(transaction)))
  }

  /** Takes over the log of another ledger as it is: all of it, or nothing. Rejected: this one is not empty. */
  async copyFrom(source: LogSource, signal: AbortSignal): Promise<void> {
    await this.#write(async (transaction) => {
      if ((await readHead(transaction)).seq > 0) {
        throw new SpillwayError(
          'Rejected',
          'there are events in that ledger already: only an empty one is filled',
        )
      }
      const seals = await copyLog(source, transaction, signal)
      await rebuildProjections(transaction, { books: await readBooks(transaction), seals })
    })
    this.#books = new Map()
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
    await this.#write(async (transaction) => {
      let isNew = false
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
        if (kept) continue
        isNew = true
        await transaction.insertInto('price_book').values({ id: book.id, body }).execute()
      }
      if (!isNew) return
      this.#books = new Map()
      await countWhatEnded(transaction, await this.#rules(transaction))
      // Should the transaction fail, they have not been kept.
      this.#books = new Map()
    })
  }

  async priceBooks(): Promise<PriceBook[]> {
    return [...(await readBooks(this.#db)).values()]
  }

  async #write<T>(job: (transaction: Transaction<LedgerSchema>) => Promise<T>): Promise<T> {
    return await this.#db.transaction().execute(async (transaction) => {
      await this.#guard(transaction)
      return await job(transaction)
    })
  }

  /** With `events`, the books that they name are enough. */
  async #rules(db: Kysely<LedgerSchema>, events?: readonly UsageEvent[]): Promise<ProjectionRules> {
    const named = events?.flatMap(({ fact }) => ('terms' in fact ? [fact.terms.priceBook] : []))
    if (!named || this.#books.size === 0 || named.some((id) => !this.#books.has(id))) {
      this.#books = await readBooks(db)
    }
    return { books: this.#books, seals: await readSeals(db) }
  }
}

async function readBooks(db: Kysely<LedgerSchema>): Promise<Map<string, PriceBook>> {
  const rows = await db.selectFrom('price_book').selectAll().orderBy('id').execute()
  return new Map(rows.map(({ id, body }) => [id, decodeJson(body) as PriceBook]))
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
