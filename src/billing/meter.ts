import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { podRef, type PodUid } from '../model/pod-key.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import { withResources } from '../model/pod-resources.ts'
import type { PriceBook, PurchaseOption } from '../model/price-book.ts'
import { chooseSpec, type SpecWishes } from '../model/spec.ts'
import { billedPod, usageEvent, type BillingTerms } from '../model/usage.ts'
import type { Log } from '../telemetry/log.ts'
import { onEvenClock } from './even-clock.ts'
import { seenAgain } from './heartbeats.ts'
import { isLedgerOutage, type AppendOutcome, type LedgerStore } from './ledger.ts'
import { latestFactMs, ledgerIncarnation, observedFacts, type NewFact } from './observed-facts.ts'
import { priceTags, type PriceTags } from './price-tags.ts'
import type { PodHistory, UsageInterval } from './projection.ts'
import { resizeFacts } from './resize-facts.ts'
import { SteadyTime } from './steady-time.ts'

/** Where a Pod runs, and by which book it is billed there. */
export interface MeteredNode {
  readonly pool: string
  readonly node: string
  readonly priceBook: string
  /** Of Pods that say nothing themselves. Default on demand. */
  readonly purchase?: PurchaseOption
}

export interface MeterOptions {
  readonly ledger: LedgerStore
  readonly books: readonly PriceBook[]
  readonly clusterUid: string
  readonly clock: Clock
  readonly log: Log
  /** For a sandbox whose INTENT is missing: the facts of the virtual node that it was made for. */
  readonly nodeFacts: (nodeName: string) => MeteredNode
  /** Names of the Pod labels that are kept, or all of them. Default: the recommended application labels. */
  readonly labels?: readonly string[] | 'all'
  /** Default one minute. */
  readonly heartbeatMs?: number
  /** The backends' times are of this machine's clock, so that they jump with it. Default false. */
  readonly backendsShareClock?: boolean
}

const applicationLabels = ['app', 'app.kubernetes.io/name', 'app.kubernetes.io/part-of', 'team']

// The ledger has the truth: what is dropped from here is read again.
const cachedPods = 10_000

/**
 * Rejects with Rejected when a book that was billed by has changed. An outage of the ledger does not keep us from
 * beginning: there are Pods to be ended, and the books are looked at again before the first event.
 */
export async function openMeter(options: MeterOptions, signal: AbortSignal): Promise<LedgerMeter> {
  const meter = new LedgerMeter(options)
  try {
    await meter.checkBooks(signal)
  } catch (error) {
    if (!isLedgerOutage(error)) throw error
    options.log.error(
      { error: error.message },
      'the ledger cannot be read or written: nothing starts until it can',
    )
  }
  return meter
}

/**
 * Turns a Pod's life into the ledger's events. Every call is idempotent and durable when it resolves; rejections are
 * the store's (LedgerUnavailable: try again). Remembers nothing that the ledger does not have.
 */
export class LedgerMeter {
  readonly #options: MeterOptions
  readonly #books: Map<string, PriceBook>
  /** Ids of those that the ledger holds, and that are the same there. */
  readonly #kept = new Set<string>()
  readonly #histories = new Map<PodUid, PodHistory>()
  readonly #time: SteadyTime
  #booksChecked = false

  constructor(options: MeterOptions) {
    this.#options = options
    this.#time = new SteadyTime(options.clock)
    this.#books = new Map(options.books.map((book) => [book.id, book]))
  }

  /**
   * Holds the books against those that the ledger has billed by. One that is not configured any more counts on: Pods of
   * it may still run, and be resized.
   */
  async checkBooks(signal: AbortSignal): Promise<void> {
    if (this.#booksChecked) return
    const { ledger } = this.#options
    const billedBy = await ledger.priceBooks(signal)
    const known = billedBy.map((book) => this.#books.get(book.id) ?? book)
    await ledger.keepPriceBooks(known, signal)
    for (const book of known) {
      this.#books.set(book.id, book)
      this.#kept.add(book.id)
    }
    this.#booksChecked = true
  }

  /**
   * To be awaited before the backend is asked to start the Pod, of which it has nothing then: what was open is lost, also
   * where nothing had run in it yet. Left open, it would be billed to the end of a container that ran in the next one.
   * ConfigInvalid: the node's price book is unknown.
   */
  async intent(pod: Pod, node: MeteredNode, signal: AbortSignal): Promise<void> {
    const { uid } = podRef(pod)
    // A Pod that is new to us is almost always new to the ledger, which says so: to ask it first would hold up each start.
    if (!this.#histories.has(uid) && this.#books.has(node.priceBook)) {
      const outcomes = await this.#append(uid, [this.#intentFact(pod, node)], signal)
      if (outcomes.includes('appended')) return
    }
    const history = await this.#history(uid, signal)
    await this.#append(uid, history.intended ? lostFacts(history) : [this.#intentFact(pod, node)], signal)
  }

  /** What the backend's own times say was held and has ended. Without a Pod a sandbox is opened all the same. */
  async record(pod: Pod | undefined, told: PodObservation, signal: AbortSignal): Promise<void> {
    const { heartbeatMs = 60_000, nodeFacts } = this.#options
    const { uid, nodeName } = told
    const history = await this.#history(uid, signal)
    const observed = this.#onEvenClock(told)
    const facts = observedFacts({
      history,
      observed,
      nowMs: this.#nowMs(observed),
      heartbeatMs,
      clockSetBack: this.#time.wasSetBack(uid),
    })
    facts.push(...this.#resizeFacts(pod, observed, history))
    const billable = facts.length > 0 || history.intervals.length > 0
    if (pod && billable && !history.intended) facts.unshift(this.#intentFact(pod, nodeFacts(nodeName)))
    if (facts.length > 0) await this.#append(uid, facts, signal)
  }

  /**
   * The Pod is about to be given the size that it asks for now; to be awaited before the backend is asked. What was seen
   * of the size before is written down with it: the backend forgets that one over the next.
   */
  async resizing(pod: Pod, told: PodObservation, signal: AbortSignal): Promise<void> {
    const { uid } = podRef(pod)
    const history = await this.#history(uid, signal)
    const observed = this.#onEvenClock(told)
    const generation = pod.metadata?.generation ?? 0
    if (!history.terms || history.resizes.some((resize) => resize.generation === generation)) return
    const { priceBook, spec: begun } = history.terms
    const fact = { kind: 'RESIZING', generation, terms: this.#terms(pod, priceBook, { begun }) } as const
    const incarnation = ledgerIncarnation(history, observed)
    const asked: NewFact = { incarnation, atMs: this.#nowMs(observed), source: 'spillway', fact }
    await this.#append(uid, [...this.#resizeFacts(pod, observed, history), asked], signal)
  }

  /** The backend will not do it: what was held before goes on being billed. */
  async resizeRefused(uid: PodUid, generation: number, reason: string, signal: AbortSignal): Promise<void> {
    const { intervals, resizes } = await this.#history(uid, signal)
    const resize = resizes.find((candidate) => candidate.generation === generation)
    if (resize?.state !== 'under way') return
    const incarnation = intervals.at(-1)?.incarnation ?? 0
    const fact = { kind: 'VOIDED', reason, generation } as const
    await this.#append(uid, [{ incarnation, atMs: resize.askedMs, source: 'spillway', fact }], signal)
  }

  /**
   * The end of what is seen is about to be asked for. The first call counts: it is the end if no container ever ran. Of the
   * sandbox that is there now, also when the ledger has yet to hear of it.
   */
  async stopping(told: PodObservation, signal: AbortSignal): Promise<void> {
    const { uid } = told
    const history = await this.#history(uid, signal)
    const observed = this.#onEvenClock(told)
    const incarnation = ledgerIncarnation(history, observed)
    const known = history.intervals.find((interval) => interval.incarnation === incarnation)
    const isAsked = history.stoppings.some((stopping) => stopping.incarnation === incarnation)
    if (known?.endMs !== undefined || isAsked) return
    const fact = { kind: 'STOPPING', reason: 'its end was asked for' } as const
    await this.#append(uid, [{ incarnation, atMs: this.#nowMs(observed), source: 'spillway', fact }], signal)
  }

  /** The backend has lost every trace of the Pod: closed, as an estimate, at the last time that it was seen. */
  async closeLost(uid: PodUid, signal: AbortSignal): Promise<void> {
    const history = await this.#history(uid, signal)
    if (history.intervals.some(isOpen)) await this.#append(uid, lostFacts(history), signal)
  }

  /** The Pod never started. If the ledger knows better, it is closed as lost instead: what was held is billed. */
  async voided(uid: PodUid, reason: string, signal: AbortSignal): Promise<void> {
    const history = await this.#history(uid, signal)
    if (history.intervals.length > 0) {
      await this.closeLost(uid, signal)
      return
    }
    if (!history.intended || history.voided) return
    const atMs = this.#time.nowMs(uid)
    await this.#append(
      uid,
      [{ incarnation: 0, atMs, source: 'spillway', fact: { kind: 'VOIDED', reason } }],
      signal,
    )
  }

  /** What the Pod is billed by, and what it has cost once it is over. Undefined: it is not billed. */
  async priceTags(uid: PodUid, isOver: boolean, signal: AbortSignal): Promise<PriceTags | undefined> {
    const history = await this.#history(uid, signal)
    return priceTags(history, this.#books, { nowMs: this.#options.clock.wallMs(), isOver })
  }

  /** UIDs of the Pods that the ledger bills just now: whoever reconciles compares them with the backend's list. */
  async openPods(signal: AbortSignal): Promise<ReadonlySet<PodUid>> {
    const intervals = await this.#options.ledger.openIntervals(signal)
    return new Set(intervals.map(({ podUid }) => podUid))
  }

  #resizeFacts(pod: Pod | undefined, observed: PodObservation, history: PodHistory): NewFact[] {
    const { terms } = history
    return resizeFacts({
      history,
      observed,
      incarnation: ledgerIncarnation(history, observed),
      termsOf:
        pod && terms
          ? (resources) => this.#terms(withResources(pod, resources), terms.priceBook, { begun: terms.spec })
          : undefined,
    })
  }

  #intentFact(pod: Pod, { pool, node, priceBook, purchase }: MeteredNode): NewFact {
    const { clusterUid, labels = applicationLabels } = this.#options
    return {
      incarnation: 0,
      atMs: this.#time.nowMs(podRef(pod).uid),
      source: 'spillway',
      fact: {
        kind: 'INTENT',
        pod: billedPod(pod, { clusterUid, pool, node, labels }),
        terms: this.#terms(pod, priceBook, { purchase }),
        ...(pod.metadata?.generation !== undefined && { generation: pod.metadata.generation }),
      },
    }
  }

  #onEvenClock(told: PodObservation): PodObservation {
    if (!this.#options.backendsShareClock) return told
    const { uid } = told
    return onEvenClock(told, { nowMs: this.#time.nowMs(uid), aheadMs: this.#time.aheadMs(uid) })
  }

  /** Never before what the backend, whose clock is the one that counts, has told already. */
  #nowMs(observed: PodObservation): number {
    return Math.max(this.#time.nowMs(observed.uid), latestFactMs(observed))
  }

  #terms(pod: Pod, priceBook: string, wishes: SpecWishes): BillingTerms {
    const book = this.#books.get(priceBook)
    if (!book) {
      const known = [...this.#books.keys()].join(', ')
      throw new SpillwayError('ConfigInvalid', `price book "${priceBook}" is not known; there are: ${known}`)
    }
    return billingTerms(pod, book, wishes)
  }

  /** A book is kept when it is first billed by: until then whoever wrote it may change it. Durable when it resolves. */
  async #keepBooksOf(facts: readonly NewFact[], signal: AbortSignal): Promise<void> {
    await this.checkBooks(signal)
    const ids = new Set(facts.flatMap(({ fact }) => ('terms' in fact ? fact.terms.priceBook : [])))
    const books = [...ids].flatMap((id) => (this.#kept.has(id) ? [] : (this.#books.get(id) ?? [])))
    if (books.length === 0) return
    await this.#options.ledger.keepPriceBooks(books, signal)
    for (const { id } of books) this.#kept.add(id)
  }

  async #history(uid: PodUid, signal: AbortSignal): Promise<PodHistory> {
    this.#time.begin(uid)
    const cached = this.#histories.get(uid)
    if (cached) return cached
    const history = await this.#options.ledger.history(uid, signal)
    this.#histories.set(uid, history)
    const [oldest] = this.#histories.keys()
    if (oldest !== undefined && this.#histories.size > cachedPods) this.#histories.delete(oldest)
    return history
  }

  async #append(
    uid: PodUid,
    facts: readonly NewFact[],
    signal: AbortSignal,
  ): Promise<readonly AppendOutcome[]> {
    if (facts.length === 0) return []
    const { clock, clusterUid, ledger, log } = this.#options
    const observedMs = clock.wallMs()
    const events = facts.map((fact) => usageEvent({ clusterUid, podUid: uid, observedMs, ...fact }))
    const before = this.#histories.get(uid)
    let after: PodHistory | undefined
    try {
      await this.#keepBooksOf(facts, signal)
      const outcomes = await ledger.append(events, signal)
      for (const [index, outcome] of outcomes.entries()) {
        // To be let in again is another time, and the first one counts.
        if (outcome !== 'differs' || events[index]?.fact.kind === 'INTENT') continue
        log.warn({ pod: uid, kind: events[index]?.fact.kind }, 'ledger kept the earlier of two accounts')
      }
      // Two a minute of each Pod, which is not to be read anew for them.
      if (before && before === this.#histories.get(uid)) after = seenAgain(before, events)
      return outcomes
    } finally {
      // Also after a failure: it is not known whether the write happened.
      if (after) this.#histories.set(uid, after)
      else this.#histories.delete(uid)
    }
  }
}

/** What a Pod will be billed by. One that no size of the book holds is billed 1:1: time that ran is never free. */
export function billingTerms(pod: Pod, book: PriceBook, wishes: SpecWishes = {}): BillingTerms {
  const choice = chooseSpec(pod, book, wishes)
  const { spec, demand, steps } = choice
  if (choice.ok) return { priceBook: book.id, spec, demand, steps }
  const refused = `${choice.error}: billed at what it asks for`
  return { priceBook: book.id, spec, demand, steps: [...steps, refused] }
}

function isOpen({ endMs }: UsageInterval): boolean {
  return endMs === undefined
}

/** Should the Pod begin anew at that size, it has it from then on, and had it not before. */
function lostResizes({ intervals, resizes }: PodHistory): NewFact[] {
  const reason = 'the backend lost the Pod before it was done'
  const incarnation = intervals.find(isOpen)?.incarnation ?? 0
  return resizes
    .filter(({ state }) => state === 'under way')
    .map(({ generation, askedMs: atMs }) => {
      const fact = { kind: 'VOIDED', reason, generation } as const
      return { incarnation, atMs, source: 'spillway', fact }
    })
}

/** The backend has nothing of the Pod any more. */
function lostFacts(history: PodHistory): NewFact[] {
  return [...lostResizes(history), ...history.intervals.filter(isOpen).map(lostFact)]
}

function lostFact({ incarnation, observedUntilMs }: UsageInterval): NewFact {
  const fact = {
    kind: 'CLOSED',
    confidence: 'estimated',
    reason: 'the backend lost it; last seen then',
  } as const
  return { incarnation, atMs: observedUntilMs, source: 'spillway', fact }
}
