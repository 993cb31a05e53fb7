import type { Kysely, Transaction } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import type { PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent } from '../../model/usage.ts'
import { bookDifferences } from '../book-differences.ts'
import type { Period } from '../charges.ts'
import type { AppendOutcome, EventPage, OpenQuestion, PodPage, StoredEvent, StoredPod } from '../ledger.ts'
import { observedEvent, type Heartbeat } from '../heartbeats.ts'
import { decodeJson, encodeJson } from '../ledger-json.ts'
import { projectPod, type Adjustment, type PodHistory, type UsageInterval } from '../projection.ts'
import type { Seal, SealDraft } from '../seal.ts'
import type { DayTotal, TotalsQuery, UsageTotal } from '../usage-totals.ts'
import { accountOf, countWhatEnded, readOpenAccounts, type ProjectionRules } from './account-rows.ts'
import { copyLog, type LogSource } from './copy-log.ts'
import { readDayTotals } from './day-total-rows.ts'
import { eventOf, readHead, readPodEvents } from './event-rows.ts'
import {
  keepHeartbeats,
  podsThatDoNotRun,
  readHeartbeatPage,
  readHeartbeats,
  withLastSeen,
} from './heartbeat-rows.ts'
import { newsIn } from './new-events.ts'
import { areProjectionsCurrent, readStoredPods, rebuildProjections } from './rebuild.ts'
import type { LedgerSchema } from './schema.ts'
import { insertSeal, readOpenQuestions, readSeals } from './seal-rows.ts'
import { tellEvents } from './tell-events.ts'
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
  async append(events: readonly UsageEvent[]): Promise<readonly AppendOutcome[]> {
    return await this.#write(async (transaction) => {
      const { outcomes, facts, heartbeats } = await newsIn(transaction, events)
      await keepHeartbeats(transaction, heartbeats)
      const pods = await podsThatDoNotRun(transaction, heartbeats)
      if (facts.length > 0 || pods.length > 0) {
        await tellEvents(transaction, { facts, pods }, await this.#rules(transaction, facts))
      }
      return outcomes
    })
  }

  async history(podUid: PodUid): Promise<PodHistory> {
    // Before the log, which has by then what of them decides.
    const lastSeen = await readHeartbeats(this.#db, [podUid])
    const events = (await readPodEvents(this.#db, [podUid])).get(podUid) ?? []
    return projectPod(podUid, [...events.map(({ event }) => event), ...lastSeen.map(observedEvent)])
  }

  async intervals({ fromMs, toMs }: Period): Promise<readonly UsageInterval[]> {
    const rows = await this.#db
      .selectFrom('account')
      .select('body')
      .where('start_ms', '<', BigInt(toMs))
      .where((where) => where.or([where('end_ms', 'is', null), where('end_ms', '>=', BigInt(fromMs))]))
      .orderBy('start_ms')
      .orderBy('pod_uid')
      .orderBy('incarnation')
      .execute()
    return await withLastSeen(
      this.#db,
      rows.map(({ body }) => accountOf(body)),
    )
  }

  async openIntervals(): Promise<readonly UsageInterval[]> {
    return await withLastSeen(this.#db, await readOpenAccounts(this.#db))
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
    return await this.#write(async (transaction) =>
      insertSeal(transaction, draft, await this.#rules(transaction)),
    )
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

  /** Kept beside the log, by Pod: all of each, and of `limit` Pods at most. */
  async heartbeats(page: PodPage): Promise<Heartbeat[]> {
    return await readHeartbeatPage(this.#db, page)
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
