import { hasCode, type SpillwayError } from '../model/errors.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { UsageEvent } from '../model/usage.ts'
import type { Period } from './charges.ts'
import type { Heartbeat } from './heartbeats.ts'
import type { Adjustment, PodHistory, UsageInterval } from './projection.ts'
import type { Seal, SealDraft } from './seal.ts'
import type { DayTotal, TotalsQuery, UsageTotal } from './usage-totals.ts'

/** The reason of a LedgerUnavailable that comes from the disk: full, failing, or mounted read-only. */
export const diskFailure = 'DiskFailure'

/**
 * What a Spillway begins with all the same: a disk that is full, failing or read-only, and a ledger that is damaged. Nothing
 * starts until it is mended, but there are Pods to be stopped.
 */
export function isLedgerOutage(error: unknown): error is SpillwayError {
  const isDisk = hasCode(error, 'LedgerUnavailable') && error.reason === diskFailure
  return isDisk || hasCode(error, 'LedgerCorrupt')
}

/**
 * The append-only record of what ran. One contract, tested by test/conformance/ledger-store.ts for every store.
 * Rejections carry a `SpillwayError`: LedgerUnavailable (the store cannot be written or read now; try again),
 * LedgerTakenOver (another writes it now: nothing is ever written by this one again), LedgerCorrupt (what is stored
 * contradicts itself), Rejected (this store is not for this program, or of another cluster); or the signal's reason. A write whose caller went away may still happen: it is harmless, for events are idempotent by id.
 */
export interface LedgerStore {
  /**
   * Durable when it resolves. Events whose id is known are left out, so the same call may be made any number of
   * times. Answers one outcome an event, in their order. OBSERVED is kept beside the log: the last of each sandbox in
   * the place of the one before, whatever their ids. One that decides something goes into the log.
   */
  append(events: readonly UsageEvent[], signal: AbortSignal): Promise<readonly AppendOutcome[]>

  /** What is known of one Pod; an empty history when nothing is. */
  history(podUid: PodUid, signal: AbortSignal): Promise<PodHistory>

  /**
   * What is billed of the intervals that meet the period (open ones reach into every later period), by start. One of
   * which more became known after a period was sealed has two accounts, each with the hours that are billed by it.
   */
  intervals(period: Period, signal: AbortSignal): Promise<readonly UsageInterval[]>

  openIntervals(signal: AbortSignal): Promise<readonly UsageInterval[]>

  adjustments(period: Period, signal: AbortSignal): Promise<readonly Adjustment[]>

  /** What the rounded lines of a period come to: quick, whatever the number of Pods. Adjustments are not in it. */
  totals(query: TotalsQuery, signal: AbortSignal): Promise<readonly UsageTotal[]>

  /** The last event, whose hash covers all; 0 and zeros of an empty log. */
  head(signal: AbortSignal): Promise<{ readonly seq: number; readonly hash: string }>

  /** In the order in which they were made: each begins where the one before ends. */
  seals(signal: AbortSignal): Promise<readonly Seal[]>

  /**
   * Seals a period, for ever: what is appended later changes no bill of it, and makes corrections in the open one. Busy:
   * what the draft was made from has changed since; Rejected: another seal has taken its place.
   */
  seal(draft: SealDraft, signal: AbortSignal): Promise<Seal>

  /** Pods by UID, `afterPodUid` exclusive, with all their events; at most `limit`. */
  pods(page: PodPage, signal: AbortSignal): Promise<readonly StoredPod[]>

  /** Starts and resizes from the period of which nobody has said yet what became of them; at most a hundred. */
  openQuestions(period: Period, signal: AbortSignal): Promise<readonly OpenQuestion[]>

  /** Makes everything but events, heartbeats, seals and price books anew. What is read meanwhile waits, or is as it was before. */
  rebuild(signal: AbortSignal): Promise<void>

  /** The sums that `totals` takes whole days from, as they are kept. */
  keptTotals(signal: AbortSignal): Promise<readonly DayTotal[]>

  /** The log itself, `afterSeq` exclusive, in order; at most `limit`. */
  events(page: EventPage, signal: AbortSignal): Promise<readonly StoredEvent[]>

  /** Keeps the books that bills are made by. Rejected when a book of the same id with other contents is kept. */
  keepPriceBooks(books: readonly PriceBook[], signal: AbortSignal): Promise<void>

  priceBooks(signal: AbortSignal): Promise<readonly PriceBook[]>

  close(): Promise<void>
}

/**
 * `differs`: that id is known with another time or content; what was written first stands. An OBSERVED is a `duplicate`
 * when the sandbox is known to have been there then or later.
 */
export type AppendOutcome = 'appended' | 'duplicate' | 'differs'

export interface EventPage {
  readonly afterSeq: number
  readonly limit: number
}

export interface StoredEvent {
  /** From 1, without gaps. */
  readonly seq: number
  readonly event: UsageEvent
  /** The stored text that the hash is made over. */
  readonly body: string
  readonly prevHash: string
  readonly hash: string
}

export interface PodPage {
  readonly afterPodUid: string
  readonly limit: number
}

export interface StoredPod {
  readonly podUid: PodUid
  /** In the order of the log. */
  readonly events: readonly SequencedEvent[]
  /** As stored: the projection of its events. */
  readonly accounts: readonly UsageInterval[]
  /** Kept beside the log, by sandbox: what `accounts` and `events` know nothing of yet. */
  readonly lastSeen: readonly Heartbeat[]
}

export interface SequencedEvent {
  readonly seq: number
  readonly event: UsageEvent
}

export interface OpenQuestion {
  readonly podUid: PodUid
  readonly kind: 'INTENT' | 'RESIZING'
  readonly atMs: number
}
