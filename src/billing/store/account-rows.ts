import { sql, type Insertable, type Kysely, type Selectable } from 'kysely'
import { asPodUid, type PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent } from '../../model/usage.ts'
import { nextAccounts } from '../accounts.ts'
import { billedEndMs } from '../charges.ts'
import { correctionsFor } from '../corrections.ts'
import { decidingHeartbeats } from '../heartbeats.ts'
import { decodeJson, encodeJson } from '../ledger-json.ts'
import { adjustmentOf, ofKind, projectPod, type UsageInterval } from '../projection.ts'
import { sealedPeriods, sealedUntil, type Seal } from '../seal.ts'
import { added, dayTotalKey, dayTotals, isCounted, negated, type DayTotal } from '../usage-totals.ts'
import { addToDayTotals } from './day-total-rows.ts'
import { chunks, readPodEvents, rowsPerInsert } from './event-rows.ts'
import { readHeartbeats } from './heartbeat-rows.ts'
import type { LedgerSchema } from './schema.ts'

export interface ProjectionRules {
  readonly books: ReadonlyMap<string, PriceBook>
  readonly seals: readonly Seal[]
}

/** What of other kinds comes of facts. */
export interface Consequences {
  /** Heartbeats that belong into the log from now on. */
  readonly deciding: readonly UsageEvent[]
  /** What the facts come too late for. */
  readonly corrections: readonly UsageEvent[]
}

/**
 * Brings the projections of the Pods of these facts, and of those named besides, up to date, in the transaction that is
 * about to write them: what is at hand need not be read back. Answers what is to be written with them.
 */
export async function projectEvents(
  db: Kysely<LedgerSchema>,
  { facts, pods }: { readonly facts: readonly UsageEvent[]; readonly pods: readonly PodUid[] },
  rules: ProjectionRules,
): Promise<Consequences> {
  const fresh = Map.groupBy(facts, ({ podUid }) => podUid)
  return await projectPods(db, [...new Set([...fresh.keys(), ...pods])], { ...rules, fresh })
}

/** A book that came after what is billed by it: from now on it is counted. */
export async function countWhatEnded(db: Kysely<LedgerSchema>, rules: ProjectionRules): Promise<void> {
  const ended = await db
    .selectFrom('account')
    .select('pod_uid')
    .distinct()
    .where('counted', '=', sql.lit(0n))
    .where('end_ms', 'is not', null)
    .execute()
  await projectPods(
    db,
    ended.map(({ pod_uid }) => asPodUid(pod_uid)),
    { ...rules, fresh: new Map(), recount: true },
  )
}

interface ProjectOptions extends ProjectionRules {
  readonly fresh: ReadonlyMap<PodUid, readonly UsageEvent[]>
  /** Pods of which nothing is told: by other books. */
  readonly recount?: boolean
}

async function projectPods(
  db: Kysely<LedgerSchema>,
  pods: readonly PodUid[],
  { fresh, recount = false, ...rules }: ProjectOptions,
): Promise<Consequences> {
  const deciding: UsageEvent[] = []
  const corrections: UsageEvent[] = []
  const changes = new Map<string, DayTotal>()
  for (const podUids of chunks(pods, rowsPerInsert)) {
    const events = await readPodEvents(db, podUids)
    const lastSeen = Map.groupBy(await readHeartbeats(db, podUids), ({ podUid }) => podUid)
    const stored = await readAccounts(db, podUids)
    const replaced: PodUid[] = []
    const rows: AccountRow[] = []
    for (const [podUid, sequenced] of events) {
      const known = sequenced.map(({ event }) => event)
      const facts = fresh.get(podUid) ?? []
      const decided = recount ? [] : decidingHeartbeats([...known, ...facts], lastSeen.get(podUid) ?? [])
      const told = [...facts, ...decided]
      if (told.length === 0 && !recount) continue
      deciding.push(...decided)
      replaced.push(podUid)
      const before = stored.get(podUid) ?? []
      const { intervals } = projectPod(podUid, [...known, ...told])
      const current = before.filter(isCurrent).map(({ body }) => accountOf(body))
      const next = nextAccounts(current, intervals, sealedUntil(rules.seals))
      const after = [...next.frozen, ...next.current].map((account) => accountRow(account, rules.books))
      rows.push(...after)
      changeTotals(changes, before, [...before.filter((row) => !isCurrent(row)), ...after], rules.books)
      const cause = facts.at(-1) ?? decided.at(-1)
      if (!cause || rules.seals.length === 0) continue
      const sealed = sealedPeriods(rules.seals)
      corrections.push(
        ...correctionsFor({ podUid, before: current, after: intervals, sealed, books: rules.books, cause }),
      )
    }
    await replaceCurrent(db, replaced, rows)
  }
  await addToDayTotals(db, changes)
  return { deciding, corrections }
}

/** One that is dated in a sealed period counts from its end: a sealed bill never changes. */
export async function insertAdjustments(
  db: Kysely<LedgerSchema>,
  events: readonly UsageEvent[],
  sealedUntilMs: number,
): Promise<void> {
  const rows = ofKind(events, 'ADJUSTED')
    .map(adjustmentOf)
    .map((adjustment) => ({ ...adjustment, atMs: Math.max(adjustment.atMs, sealedUntilMs) }))
    .map((adjustment) => ({
      event_id: adjustment.id,
      pod_uid: adjustment.podUid,
      at_ms: adjustment.atMs,
      body: encodeJson(adjustment),
    }))
  for (const part of chunks(rows, rowsPerInsert)) await db.insertInto('adjustment').values(part).execute()
}

export type AccountRow = Insertable<LedgerSchema['account']>
type StoredRow = Selectable<LedgerSchema['account']>

export function accountRow(account: UsageInterval, books: ReadonlyMap<string, PriceBook>): AccountRow {
  const { startMs, billed } = account
  const fromMs = Math.max(startMs, billed?.fromMs ?? 0)
  return {
    pod_uid: account.podUid,
    incarnation: account.incarnation,
    sealed_until_ms: billed?.toMs ?? 0,
    start_ms: fromMs,
    end_ms: rowEnd(account, fromMs, books),
    counted: isCounted(account, books) ? 1 : 0,
    body: encodeJson(account),
  }
}

/** JSON leaves out what is undefined, so the open end comes back as such. */
export function accountOf(body: string): UsageInterval {
  const absent = { endMs: undefined, confidence: undefined, closeReason: undefined, stoppingMs: undefined }
  return { ...absent, pod: undefined, ...(decodeJson(body) as Partial<UsageInterval>) } as UsageInterval
}

/** By start, as the log alone has them. */
export async function readOpenAccounts(db: Kysely<LedgerSchema>): Promise<UsageInterval[]> {
  const rows = await db
    .selectFrom('account')
    .select('body')
    .where('end_ms', 'is', null)
    .orderBy('start_ms')
    .orderBy('pod_uid')
    .execute()
  return rows.map(({ body }) => accountOf(body))
}

export async function insertAccounts(db: Kysely<LedgerSchema>, rows: readonly AccountRow[]): Promise<void> {
  for (const part of chunks(rows, rowsPerInsert)) await db.insertInto('account').values(part).execute()
}

/** Where it is billed to, which may be after its end; null while it is open. */
function rowEnd(
  account: UsageInterval,
  fromMs: number,
  books: ReadonlyMap<string, PriceBook>,
): number | null {
  const { endMs, billed } = account
  if (endMs === undefined) return billed?.toMs ?? null
  const book = books.get(account.segments[0]?.terms.priceBook ?? '')
  const billedEnd = book ? billedEndMs(account, book, endMs) : endMs
  return Math.max(Math.min(billedEnd, billed?.toMs ?? billedEnd), fromMs)
}

async function readAccounts(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
): Promise<Map<string, StoredRow[]>> {
  const rows = await db.selectFrom('account').selectAll().where('pod_uid', 'in', podUids).execute()
  return Map.groupBy(rows, ({ pod_uid }) => pod_uid)
}

async function replaceCurrent(
  db: Kysely<LedgerSchema>,
  podUids: readonly PodUid[],
  rows: readonly AccountRow[],
): Promise<void> {
  if (podUids.length > 0) {
    await db.deleteFrom('account').where('pod_uid', 'in', podUids).where('sealed_until_ms', '=', 0n).execute()
  }
  await insertAccounts(db, rows)
}

/** Most events leave what is counted as it is: a heartbeat, and all until the end. */
function changeTotals(
  changes: Map<string, DayTotal>,
  before: readonly (StoredRow | AccountRow)[],
  after: readonly (StoredRow | AccountRow)[],
  books: ReadonlyMap<string, PriceBook>,
): void {
  const was = before.filter(isCountedRow).map(({ body }) => body)
  const is = after.filter(isCountedRow).map(({ body }) => body)
  if (was.length === is.length && was.every((body) => is.includes(body))) return
  const add = (total: DayTotal): void => {
    const key = dayTotalKey(total)
    const known = changes.get(key)
    changes.set(key, known ? added(known, total) : total)
  }
  for (const total of dayTotals(was.map(accountOf), books)) add(negated(total))
  for (const total of dayTotals(is.map(accountOf), books)) add(total)
}

function isCurrent({ sealed_until_ms }: StoredRow): boolean {
  return sealed_until_ms === 0n
}

function isCountedRow({ counted }: StoredRow | AccountRow): boolean {
  return BigInt(counted) === 1n
}
