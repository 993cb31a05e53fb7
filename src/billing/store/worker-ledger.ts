import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { LedgerConfig } from '../../config/ledger.ts'
import type { SpillwayError } from '../../model/errors.ts'
import type { PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent } from '../../model/usage.ts'
import type { Period } from '../charges.ts'
import {
  isDiskFailure,
  type AppendOutcome,
  type EventPage,
  type LedgerStore,
  type OpenQuestion,
  type PodPage,
  type StoredEvent,
  type StoredPod,
} from '../ledger.ts'
import type { Adjustment, PodHistory, UsageInterval } from '../projection.ts'
import type { Seal, SealDraft } from '../seal.ts'
import type { DayTotal, TotalsQuery, UsageTotal } from '../usage-totals.ts'
import type { Claimant } from './claim.ts'
import { LedgerThread } from './ledger-thread.ts'
import type { SqlLedger } from './sql-ledger.ts'

export interface WorkerLedgerOptions {
  readonly location: LedgerConfig
  /** How errors call the place. */
  readonly name: string
  readonly readOnly: boolean
  readonly clusterUid: string | undefined
  /** What the database's client finds in its environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly onTakenOver: ((error: SpillwayError) => void) | undefined
}

interface QueuedAppend {
  readonly events: readonly UsageEvent[]
  readonly resolve: (outcomes: readonly AppendOutcome[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * A ledger that another thread has open. A thread that took the place of one that died goes on with the claim of that
 * one.
 */
export class WorkerLedger implements LedgerStore {
  readonly #options: WorkerLedgerOptions
  readonly #holder = randomUUID()
  readonly #thread: LedgerThread
  #claimed = false
  #takenOver: SpillwayError | undefined
  #queue: QueuedAppend[] = []
  #committing = false

  constructor(options: WorkerLedgerOptions) {
    this.#options = options
    const { name, location, environment } = options
    this.#thread = new LedgerThread({
      name,
      request: () => ({ location, claimant: this.#claimant(), environment }),
      onOpen: () => (this.#claimed = true),
      onTakenOver: (error) => this.#tellTakenOver(error),
    })
  }

  /** Rejects when it cannot; but a disk that is full now may not be later: then every call tries again. */
  async open(): Promise<void> {
    try {
      await this.#thread.open()
    } catch (error) {
      if (this.#options.readOnly || !isDiskFailure(error)) throw error
    }
  }

  /** What arrives while a commit waits for the disk shares the next one. */
  async append(events: readonly UsageEvent[], signal: AbortSignal): Promise<readonly AppendOutcome[]> {
    signal.throwIfAborted()
    if (events.length === 0) return []
    const outcomes = new Promise<readonly AppendOutcome[]>((resolve, reject) => {
      this.#queue.push({ events, resolve, reject })
    })
    if (!this.#committing) void this.#commitQueue()
    return await abortable(outcomes, signal)
  }

  async history(podUid: PodUid, signal: AbortSignal): Promise<PodHistory> {
    return await this.#call('history', [podUid], signal)
  }

  async intervals(period: Period, signal: AbortSignal): Promise<readonly UsageInterval[]> {
    return await this.#call('intervals', [period], signal)
  }

  async openIntervals(signal: AbortSignal): Promise<readonly UsageInterval[]> {
    return await this.#call('openIntervals', [], signal)
  }

  async adjustments(period: Period, signal: AbortSignal): Promise<readonly Adjustment[]> {
    return await this.#call('adjustments', [period], signal)
  }

  async totals(query: TotalsQuery, signal: AbortSignal): Promise<readonly UsageTotal[]> {
    return await this.#call('totals', [query], signal)
  }

  async keptTotals(signal: AbortSignal): Promise<readonly DayTotal[]> {
    return await this.#call('keptTotals', [], signal)
  }

  async head(signal: AbortSignal): Promise<{ readonly seq: number; readonly hash: string }> {
    return await this.#call('head', [], signal)
  }

  async seals(signal: AbortSignal): Promise<readonly Seal[]> {
    return await this.#call('seals', [], signal)
  }

  async seal(draft: SealDraft, signal: AbortSignal): Promise<Seal> {
    return await this.#call('seal', [draft], signal)
  }

  async pods(page: PodPage, signal: AbortSignal): Promise<readonly StoredPod[]> {
    return await this.#call('pods', [page], signal)
  }

  async openQuestions(period: Period, signal: AbortSignal): Promise<readonly OpenQuestion[]> {
    return await this.#call('openQuestions', [period], signal)
  }

  async rebuild(signal: AbortSignal): Promise<void> {
    await this.#call('rebuild', [], signal)
  }

  async events(page: EventPage, signal: AbortSignal): Promise<readonly StoredEvent[]> {
    return await this.#call('events', [page], signal)
  }

  async keepPriceBooks(books: readonly PriceBook[], signal: AbortSignal): Promise<void> {
    await this.#call('keepPriceBooks', [books], signal)
  }

  async priceBooks(signal: AbortSignal): Promise<readonly PriceBook[]> {
    return await this.#call('priceBooks', [], signal)
  }

  async close(): Promise<void> {
    await this.#thread.close()
  }

  async #commitQueue(): Promise<void> {
    this.#committing = true
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        const outcomes = await this.#thread.request('append', [batch.flatMap(({ events }) => events)])
        let taken = 0
        for (const { events, resolve } of batch) resolve(outcomes.slice(taken, (taken += events.length)))
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#committing = false
  }

  async #call<M extends keyof SqlLedger>(
    method: M,
    args: Parameters<SqlLedger[M]>,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<SqlLedger[M]>>> {
    return await abortable(this.#thread.request(method, args), signal)
  }

  #claimant(): Claimant | undefined {
    const { readOnly, clusterUid } = this.#options
    if (readOnly) return undefined
    const holderName = `host ${hostname()}, process ${process.pid}`
    return { holder: this.#holder, holderName, clusterUid, resume: this.#claimed }
  }

  #tellTakenOver(error: SpillwayError): void {
    if (this.#takenOver) return
    this.#takenOver = error
    this.#options.onTakenOver?.(error)
  }
}

/** Stops waiting when the signal says so; the work itself goes on. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => undefined)
    signal.throwIfAborted()
  }
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
