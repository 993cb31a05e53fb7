import type { Kysely } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { Heartbeat } from '../heartbeats.ts'
import type { EventPage, PodPage, StoredEvent } from '../ledger.ts'
import { encodeJson } from '../ledger-json.ts'
import { encodeSeal, sealHash, type Seal } from '../seal.ts'
import { insertEvents, readHead } from './event-rows.ts'
import { keepHeartbeats } from './heartbeat-rows.ts'
import type { LedgerSchema } from './schema.ts'

/** What of a ledger is no projection. */
export interface LogSource {
  priceBooks(): Promise<readonly PriceBook[]>
  seals(): Promise<readonly Seal[]>
  heartbeats(page: PodPage): Promise<readonly Heartbeat[]>
  events(page: EventPage): Promise<readonly StoredEvent[]>
}

const pageSize = 1000

/**
 * Writes price books, seals, heartbeats and the whole log of one ledger into an empty one, in the caller's transaction.
 * Bodies, numbers and hashes follow from what they are of and its order, and are compared: LedgerCorrupt. Seals and
 * heartbeats are read first, so that the log has the events that they cover and decided, however much is appended
 * meanwhile.
 */
export async function copyLog(
  source: LogSource,
  db: Kysely<LedgerSchema>,
  signal: AbortSignal,
): Promise<readonly Seal[]> {
  for (const book of await source.priceBooks()) {
    await db
      .insertInto('price_book')
      .values({ id: book.id, body: encodeJson(book) })
      .execute()
  }
  const seals = await source.seals()
  for (const seal of seals) await db.insertInto('seal').values(sealRow(seal)).execute()
  await copyHeartbeats(source, db, signal)
  let afterSeq = 0
  for (;;) {
    signal.throwIfAborted()
    const page = await source.events({ afterSeq, limit: pageSize })
    const last = page.at(-1)
    if (!last) return seals
    await insertEvents(
      db,
      page.map(({ event }) => event),
    )
    const head = await readHead(db)
    if (head.seq !== last.seq || head.hash !== last.hash) {
      throw new SpillwayError(
        'LedgerCorrupt',
        `events ${afterSeq + 1} to ${last.seq} have other hashes when they are copied`,
      )
    }
    afterSeq = last.seq
  }
}

async function copyHeartbeats(
  source: LogSource,
  db: Kysely<LedgerSchema>,
  signal: AbortSignal,
): Promise<void> {
  let afterPodUid = ''
  for (;;) {
    signal.throwIfAborted()
    const page = await source.heartbeats({ afterPodUid, limit: pageSize })
    const last = page.at(-1)
    if (!last) return
    await keepHeartbeats(db, page)
    afterPodUid = last.podUid
  }
}

function sealRow({ prevHash, hash, ...seal }: Seal) {
  const body = encodeSeal(seal)
  if (sealHash(prevHash, body) !== hash) {
    throw new SpillwayError('LedgerCorrupt', `seal ${seal.number} has another hash when it is copied`)
  }
  return { number: seal.number, body, prev_hash: prevHash, hash }
}
