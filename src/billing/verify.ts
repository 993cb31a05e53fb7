import type { PriceBook } from '../model/price-book.ts'
import { chargeLines } from './charges.ts'
import type { LedgerStore, StoredEvent } from './ledger.ts'
import { chainHash, encodeJson, genesisHash } from './ledger-json.ts'
import { adjustmentOf, ofKind, type UsageInterval } from './projection.ts'
import { ProjectionHash } from './projection-hash.ts'
import { encodeSeal, sealedPeriods, sealedUntil, sealHash, type Seal } from './seal.ts'
import { readInvoice } from './seal-period.ts'
import { added, dayTotalKey, dayTotals, isCounted, type DayTotal } from './usage-totals.ts'
import { checkPod, podFacts, type PodFacts } from './verify-pod.ts'

/** The outcome of `spillway ledger verify`. No problems: every claim was checked and holds. */
export interface LedgerReport {
  readonly events: number
  readonly pods: number
  readonly intervals: number
  readonly seals: number
  /** Hash of the last event: noted elsewhere, it proves later that nothing before it changed or was cut off. */
  readonly headHash: string
  /** Hash of the last seal, which covers the seals before it and the head of the log at its time. */
  readonly sealHash: string
  /** Over all that is made from events and seals: the same again after `spillway ledger rebuild`. */
  readonly projectionHash: string
  readonly problems: readonly LedgerProblem[]
  /** Events that change nothing, with the reason: not a problem, but worth a look. */
  readonly ignored: readonly { readonly id: string; readonly kind: string; readonly why: string }[]
}

export interface LedgerProblem {
  readonly claim: LedgerClaim
  /** Names the event or the Pod. */
  readonly message: string
}

export type LedgerClaim =
  | 'events are numbered without gaps and chained by hash'
  | 'what was written is still there'
  | 'the database finds its own pages whole'
  | 'all of it can be read'
  | 'intervals of a Pod never overlap, and end after they start'
  | 'slices of an interval add up to it'
  | 'replaying the log gives the same intervals'
  | 'replaying the log gives the same sums and adjustments'
  | 'a heartbeat that ends an interval is in the log'
  | 'order and repetition of deliveries do not matter'
  | 'a size holds what was asked for, is in its table, and no smaller one would do'
  | 'a line is quantity × price, rounded once'
  | 'the lines add up to the totals of bills'
  | 'sealed periods are as they were sealed'
  | 'what is sealed and its corrections add up to what ran'

const eventsPerPage = 1000
const podsPerPage = 200
const mostIgnored = 1000

/**
 * Reads the whole ledger, a page at a time, and checks it against itself. `nowMs` bounds the open intervals. What is
 * appended meanwhile may be reported as a difference: on a busy ledger, ask again.
 */
export async function verifyLedger(
  ledger: LedgerStore,
  { nowMs }: { readonly nowMs: number },
  signal: AbortSignal,
): Promise<LedgerReport> {
  const seals = await ledger.seals(signal)
  const books = new Map((await ledger.priceBooks(signal)).map((book) => [book.id, book]))
  const chain = await checkChain(ledger, seals, signal)
  const pods = await checkPods(ledger, { books, seals, nowMs: Math.max(nowMs, sealedUntil(seals)) }, signal)
  const sealed = await checkSeals(ledger, { books, seals }, signal)
  return {
    events: chain.events,
    pods: pods.pods,
    intervals: pods.intervals,
    seals: seals.length,
    headHash: chain.headHash,
    sealHash: seals.at(-1)?.hash ?? genesisHash,
    projectionHash: pods.projectionHash,
    problems: [...chain.problems, ...pods.problems, ...sealed],
    ignored: pods.ignored,
  }
}

async function checkChain(
  ledger: LedgerStore,
  seals: readonly Seal[],
  signal: AbortSignal,
): Promise<{ readonly events: number; readonly headHash: string; readonly problems: LedgerProblem[] }> {
  const problems: LedgerProblem[] = []
  const heads = new Map(seals.map(({ head, number }) => [head.seq, { hash: head.hash, number }]))
  let head = { seq: 0, hash: genesisHash }
  for (;;) {
    const page = await ledger.events({ afterSeq: head.seq, limit: eventsPerPage }, signal)
    for (const stored of page) {
      problems.push(...checkLink(stored, head))
      head = { seq: stored.seq, hash: stored.hash }
      const sealed = heads.get(head.seq)
      if (sealed && sealed.hash !== head.hash) {
        problems.push({
          claim: 'sealed periods are as they were sealed',
          message: `seal ${sealed.number} was made over another event ${head.seq}`,
        })
      }
    }
    if (page.length < eventsPerPage) return { events: head.seq, headHash: head.hash, problems }
  }
}

export function checkLink(stored: StoredEvent, before: { seq: number; hash: string }): LedgerProblem[] {
  const claim = 'events are numbered without gaps and chained by hash'
  const { seq, event, body, prevHash, hash } = stored
  if (seq !== before.seq + 1) return [{ claim, message: `event ${before.seq + 1} is missing` }]
  if (prevHash !== before.hash)
    return [{ claim, message: `event ${seq} does not follow event ${before.seq}` }]
  if (hash !== chainHash(prevHash, seq, event, body)) {
    return [{ claim, message: `event ${seq} (${event.fact.kind} of Pod ${event.podUid}) was changed` }]
  }
  return []
}

type Rules = Pick<PodFacts, 'books' | 'seals' | 'nowMs'>

async function checkPods(
  ledger: LedgerStore,
  rules: Rules,
  signal: AbortSignal,
): Promise<Pick<LedgerReport, 'pods' | 'intervals' | 'projectionHash' | 'problems' | 'ignored'>> {
  const problems: LedgerProblem[] = []
  const ignored: LedgerReport['ignored'][number][] = []
  const replay = new Replay(rules)
  const stored = new ProjectionHash()
  let [pods, intervals, afterPodUid] = [0, 0, '']
  for (;;) {
    const page = await ledger.pods({ afterPodUid, limit: podsPerPage }, signal)
    for (const pod of page) {
      const facts = podFacts(pod, rules)
      problems.push(...checkPod(facts))
      if (ignored.length < mostIgnored) ignored.push(...facts.history.ignored)
      stored.addAccounts(pod.accounts)
      replay.add(facts)
      pods += 1
      intervals += facts.history.intervals.length
    }
    if (page.length < podsPerPage) break
    afterPodUid = page.at(-1)?.podUid ?? ''
  }
  for (const total of await ledger.keptTotals(signal)) stored.addTotal(dayTotalKey(total), total)
  const ever = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }
  for (const adjustment of await ledger.adjustments(ever, signal)) stored.addAdjustment(adjustment)
  const projectionHash = stored.digest()
  if (problems.length === 0 && replay.hash() !== projectionHash) {
    const claim = 'replaying the log gives the same sums and adjustments'
    problems.push({ claim, message: `they come to ${replay.hash()}, and are ${projectionHash}` })
  }
  if (!replay.lacksBook) problems.push(...(await checkTotals(ledger, replay, signal)))
  return { pods, intervals, projectionHash, problems, ignored }
}

/** What the events of all Pods come to, made anew. */
class Replay {
  readonly #rules: Rules
  readonly #hash = new ProjectionHash()
  readonly #totals = new Map<string, DayTotal>()
  readonly nanos = new Map<string, bigint>()
  /** Something ran by a book that the ledger does not hold: there is no bill to compare with, and asking for one says so. */
  lacksBook = false
  #digest: string | undefined

  constructor(rules: Rules) {
    this.#rules = rules
  }

  get nowMs(): number {
    return this.#rules.nowMs
  }

  add({ stored, accounts }: PodFacts): void {
    const { books, seals, nowMs } = this.#rules
    this.#hash.addAccounts(accounts)
    for (const total of dayTotals(
      accounts.filter((account) => isCounted(account, books)),
      books,
    )) {
      const known = this.#totals.get(dayTotalKey(total))
      this.#totals.set(dayTotalKey(total), known ? added(known, total) : total)
    }
    for (const { seq, event } of stored.events) {
      const sealedUntilMs = sealedUntil(seals.filter(({ head }) => head.seq < seq))
      for (const adjustment of ofKind([event], 'ADJUSTED').map(adjustmentOf)) {
        this.#hash.addAdjustment({ ...adjustment, atMs: Math.max(adjustment.atMs, sealedUntilMs) })
      }
    }
    for (const account of accounts) this.#addLines(account, books, nowMs)
  }

  hash(): string {
    if (this.#digest === undefined) {
      for (const [key, total] of this.#totals) this.#hash.addTotal(key, total)
      this.#digest = this.#hash.digest()
    }
    return this.#digest
  }

  #addLines(account: UsageInterval, books: Rules['books'], nowMs: number): void {
    const id = account.segments[0]?.terms.priceBook
    const book = books.get(id ?? '')
    if (id !== undefined && !book) this.lacksBook = true
    if (!book) return
    for (const { currency, nanos } of chargeLines(account, book, { nowMs })) {
      this.nanos.set(currency, (this.nanos.get(currency) ?? 0n) + nanos)
    }
  }
}

async function checkTotals(
  ledger: LedgerStore,
  replay: Replay,
  signal: AbortSignal,
): Promise<LedgerProblem[]> {
  const period = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }
  const totals = await ledger.totals({ period, by: [], nowMs: replay.nowMs }, signal)
  const billed = new Map(totals.map(({ currency, nanos }) => [currency, nanos]))
  return [...replay.nanos].flatMap(([currency, nanos]) => {
    const found = billed.get(currency) ?? 0n
    const claim = 'the lines add up to the totals of bills'
    return found === nanos
      ? []
      : [{ claim, message: `${nanos} nano-${currency} of lines, ${found} in total` }]
  })
}

async function checkSeals(
  ledger: LedgerStore,
  { books, seals }: { readonly books: ReadonlyMap<string, PriceBook>; readonly seals: readonly Seal[] },
  signal: AbortSignal,
): Promise<LedgerProblem[]> {
  const claim = 'sealed periods are as they were sealed'
  const problems: LedgerProblem[] = []
  const periods = sealedPeriods(seals)
  for (const [index, { hash, prevHash, ...seal }] of seals.entries()) {
    const isChained = prevHash === (seals[index - 1]?.hash ?? genesisHash) && seal.number === index + 1
    if (!isChained || hash !== sealHash(prevHash, encodeSeal(seal))) {
      problems.push({ claim, message: `seal ${index + 1} was changed, or does not follow the one before` })
    }
    const period = periods[index]
    const invoice = period && (await readInvoice(ledger, { period, books }, signal))
    const { lines, adjustments, sums } = seal
    const found = invoice && {
      lines: { count: invoice.lines, hash: invoice.linesHash },
      adjustments: { count: invoice.adjustments, hash: invoice.adjustmentsHash },
      sums: invoice.sums,
    }
    if (encodeJson(found) !== encodeJson({ lines, adjustments, sums })) {
      problems.push({ claim, message: `the bill of seal ${index + 1} is another one now` })
    }
  }
  return problems
}
