import { hasCode, type SpillwayError } from '../model/errors.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { UsageEvent } from '../model/usage.ts'
import type { Period } from './charges.ts'
import type { Adjustment, PodHistory, UsageInterval } from './projection.ts'

/** The reason of a LedgerUnavailable that comes from the disk: full, or failing. */
export const diskFailure = 'DiskFailure'

export function isDiskFailure(error: unknown): error is SpillwayError {
  return hasCode(error, 'LedgerUnavailable') && error.reason === diskFailure
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
   * times. Answers one outcome an event, in their order.
   */
  append(events: readonly UsageEvent[], signal: AbortSignal): Promise<readonly AppendOutcome[]>

  /** What is known of one Pod; an empty history when nothing is. */
  history(podUid: PodUid, signal: AbortSignal): Promise<PodHistory>

  /** Intervals that meet the period (open ones reach into every later period), by start. */
  intervals(period: Period, signal: AbortSignal): Promise<readonly UsageInterval[]>

  openIntervals(signal: AbortSignal): Promise<readonly UsageInterval[]>

  adjustments(period: Period, signal: AbortSignal): Promise<readonly Adjustment[]>

  /** The log itself, `afterSeq` exclusive, in order; at most `limit`. */
  events(page: EventPage, signal: AbortSignal): Promise<readonly StoredEvent[]>

  /** Keeps the books that bills are made by. Rejected when a book of the same id with other contents is kept. */
  keepPriceBooks(books: readonly PriceBook[], signal: AbortSignal): Promise<void>

  priceBooks(signal: AbortSignal): Promise<readonly PriceBook[]>

  close(): Promise<void>
}

/** `differs`: that id is known with another time or content; what was written first stands. */
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
