import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { UsageEvent } from '../model/usage.ts'
import { billedEndMs, sliceInterval } from './charges.ts'
import type { LedgerStore, StoredEvent } from './ledger.ts'
import { chainHash, encodeJson, genesisHash } from './ledger-json.ts'
import { projectPod, type PodHistory, type UsageInterval } from './projection.ts'

/** The outcome of `spillway ledger verify`. No problems: every claim was checked and holds. */
export interface LedgerReport {
  readonly events: number
  readonly pods: number
  readonly intervals: number
  /** Hash of the last event: noted elsewhere, it proves later that nothing before it changed or was cut off. */
  readonly headHash: string
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
  | 'intervals of a Pod never overlap, and end after they start'
  | 'slices of an interval add up to it'
  | 'replaying the log gives the same intervals'
  | 'order and repetition of deliveries do not matter'

const pageSize = 1000

/** Reads the whole ledger and checks it against itself. `nowMs` bounds the open intervals. */
export async function verifyLedger(
  ledger: LedgerStore,
  { nowMs }: { readonly nowMs: number },
  signal: AbortSignal,
): Promise<LedgerReport> {
  const problems: LedgerProblem[] = []
  const byPod = new Map<PodUid, UsageEvent[]>()
  let head: { seq: number; hash: string } = { seq: 0, hash: genesisHash }
  for (;;) {
    const page = await ledger.events({ afterSeq: head.seq, limit: pageSize }, signal)
    for (const stored of page) {
      problems.push(...checkChain(stored, head))
      head = { seq: stored.seq, hash: stored.hash }
      const own = byPod.get(stored.event.podUid)
      if (own) own.push(stored.event)
      else byPod.set(stored.event.podUid, [stored.event])
    }
    if (page.length < pageSize) break
  }
  const histories = [...byPod].map(([podUid, events]) => ({ events, history: projectPod(podUid, events) }))
  const intervals = histories.flatMap(({ history }) => history.intervals)
  const books = new Map((await ledger.priceBooks(signal)).map((book) => [book.id, book]))
  const stored = await ledger.intervals({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }, signal)
  problems.push(
    ...histories.flatMap(({ history }) => checkOverlaps(history)),
    ...intervals.flatMap((interval) => checkSlices(interval, books, nowMs)),
    ...checkReplay(intervals, stored),
    ...histories.flatMap(({ history, events }) => checkOrder(history, events)),
  )
  return {
    events: head.seq,
    pods: byPod.size,
    intervals: intervals.length,
    headHash: head.hash,
    problems,
    ignored: histories.flatMap(({ history }) => history.ignored),
  }
}

function checkChain(stored: StoredEvent, before: { seq: number; hash: string }): LedgerProblem[] {
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

function checkOverlaps({ podUid, intervals }: PodHistory): LedgerProblem[] {
  const claim = 'intervals of a Pod never overlap, and end after they start'
  return intervals.flatMap(({ incarnation, startMs, endMs }, index) => {
    const next = intervals[index + 1]
    if (endMs !== undefined && endMs < startMs) {
      return [{ claim, message: `Pod ${podUid}, sandbox ${incarnation} ends before it starts` }]
    }
    if (next && (endMs === undefined || endMs > next.startMs)) {
      return [{ claim, message: `Pod ${podUid}, sandboxes ${incarnation} and ${next.incarnation} overlap` }]
    }
    return []
  })
}

function checkSlices(
  interval: UsageInterval,
  books: ReadonlyMap<string, PriceBook>,
  nowMs: number,
): LedgerProblem[] {
  const claim = 'slices of an interval add up to it'
  const book = books.get(interval.segments[0]?.terms.priceBook ?? '')
  if (!book) return []
  const slices = sliceInterval(interval, book, { nowMs })
  const sumMs = slices.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
  const wholeMs = billedEndMs(interval, book, nowMs) - interval.startMs
  const meets = slices.every(({ fromMs }, index) => fromMs === (slices[index - 1]?.toMs ?? interval.startMs))
  if (sumMs === wholeMs && meets) return []
  const { podUid, incarnation } = interval
  return [
    { claim, message: `Pod ${podUid}, sandbox ${incarnation}: slices of ${sumMs} ms, billed ${wholeMs} ms` },
  ]
}

function checkReplay(replayed: readonly UsageInterval[], stored: readonly UsageInterval[]): LedgerProblem[] {
  const claim = 'replaying the log gives the same intervals'
  const keyOf = ({ podUid, incarnation }: UsageInterval): string => `${podUid}, sandbox ${incarnation}`
  const kept = new Map(stored.map((interval) => [keyOf(interval), encodeJson(interval)]))
  const problems: LedgerProblem[] = []
  for (const interval of replayed) {
    const key = keyOf(interval)
    if (kept.get(key) !== encodeJson(interval)) problems.push({ claim, message: `Pod ${key} differs` })
    kept.delete(key)
  }
  for (const key of kept.keys()) problems.push({ claim, message: `Pod ${key} has no events` })
  return problems
}

/** Not every order, but the one that differs most, with each event twice. The tests try random ones. */
function checkOrder(history: PodHistory, events: readonly UsageEvent[]): LedgerProblem[] {
  const again = projectPod(history.podUid, [...events.toReversed(), ...events])
  if (encodeJson(again) === encodeJson(history)) return []
  const claim = 'order and repetition of deliveries do not matter'
  return [{ claim, message: `Pod ${history.podUid} differs when its events come in another order` }]
}
