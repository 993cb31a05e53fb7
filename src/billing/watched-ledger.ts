import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { UsageEvent } from '../model/usage.ts'
import type { Period } from './charges.ts'
import type { AppendOutcome, EventPage, LedgerStore, PodPage } from './ledger.ts'
import type { LedgerHealth } from './ledger-health.ts'
import type { SealDraft } from './seal.ts'
import type { TotalsQuery } from './usage-totals.ts'

/** A ledger whose calls tell how it is; one that is damaged takes nothing more, and still answers what it can. */
export class WatchedLedger implements LedgerStore {
  readonly #ledger: LedgerStore
  readonly #health: LedgerHealth

  constructor(ledger: LedgerStore, health: LedgerHealth) {
    this.#ledger = ledger
    this.#health = health
  }

  async append(events: readonly UsageEvent[], signal: AbortSignal): Promise<readonly AppendOutcome[]> {
    const outcomes = await this.#write(() => this.#ledger.append(events, signal))
    // Of what is known already nothing reaches the disk.
    if (outcomes.includes('appended')) this.#health.wrote()
    return outcomes
  }

  async seal(draft: SealDraft, signal: AbortSignal) {
    const seal = await this.#write(() => this.#ledger.seal(draft, signal))
    this.#health.wrote()
    return seal
  }

  keepPriceBooks(books: readonly PriceBook[], signal: AbortSignal) {
    return this.#write(() => this.#ledger.keepPriceBooks(books, signal))
  }

  /** Also of one that is damaged: what it makes anew may be all that is. */
  rebuild(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.rebuild(signal))
  }

  history(podUid: PodUid, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.history(podUid, signal))
  }

  intervals(period: Period, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.intervals(period, signal))
  }

  openIntervals(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.openIntervals(signal))
  }

  adjustments(period: Period, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.adjustments(period, signal))
  }

  totals(query: TotalsQuery, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.totals(query, signal))
  }

  keptTotals(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.keptTotals(signal))
  }

  head(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.head(signal))
  }

  seals(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.seals(signal))
  }

  pods(page: PodPage, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.pods(page, signal))
  }

  openQuestions(period: Period, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.openQuestions(period, signal))
  }

  events(page: EventPage, signal: AbortSignal) {
    return this.#watch(() => this.#ledger.events(page, signal))
  }

  priceBooks(signal: AbortSignal) {
    return this.#watch(() => this.#ledger.priceBooks(signal))
  }

  close(): Promise<void> {
    return this.#ledger.close()
  }

  async #write<T>(call: () => Promise<T>): Promise<T> {
    this.#health.refuseIfDamaged()
    return await this.#watch(call, true)
  }

  async #watch<T>(call: () => Promise<T>, isWrite = false): Promise<T> {
    try {
      return await call()
    } catch (error) {
      this.#health.failed(error, { isWrite })
      throw error
    }
  }
}
