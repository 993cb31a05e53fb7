import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { LedgerConfig } from '../../config/ledger.ts'
import type { SpillwayError } from '../../model/errors.ts'
import type { PodUid } from '../../model/pod-key.ts'
import type { PriceBook } from '../../model/price-book.ts'
import type { UsageEvent } from '../../model/usage.ts'
import type { Period } from '../charges.ts'
import {
  isLedgerOutage,
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
  /** From how many events on what may take long is read by a thread of its own. Default `readerFromEvents`. */
  readonly readerFromEvents?: number | undefined
  /** What the database's client finds in its environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly onTakenOver: ((error: SpillwayError) => void) | undefined
  /** Told every few seconds how the renewal of the claim went, which is written as events are. */
  readonly onRenewal: ((failure: SpillwayError | undefined) => void) | undefined
}

/**
 * A smaller ledger is read between two appends, within a few milliseconds: a thread more costs a third of a second, and
 * memory.
 */
const readerFromEvents = 2_000

interface QueuedAppend {
  readonly events: readonly UsageEvent[]
  readonly resolve: (outcomes: readonly AppendOutcome[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * A ledger that other threads have open: one writes, and answers what is asked on the way to a write; one reads what may
 * take long, so that no append waits for a bill. A thread that took the place of one that died goes on with its claim.
 */
export class WorkerLedger implements LedgerStore {
  readonly #options: WorkerLedgerOptions
  readonly #holder = randomUUID()
  readonly #writer: LedgerThread
  readonly #reader: LedgerThread
  readonly #reads = new Line()
  /** As far as is known: of those that another process wrote, when it was opened. */
  #events = 0
  #claimed = false
  #takenOver: SpillwayError | undefined
  #queue: QueuedAppend[] = []
  #committing = false

  constructor(options: WorkerLedgerOptions) {
    this.#options = options
    const { name, location, environment } = options
    const onTakenOver = (error: SpillwayError): void => this.#tellTakenOver(error)
    this.#writer = new LedgerThread({
      name,
      request: () => ({ location, claimant: this.#claimant(), besideWriter: false, environment }),
      onOpen: (events) => {
        this.#claimed = true
        this.#events = events
      },
      onTakenOver,
      onRenewal: (failure) => options.onRenewal?.(failure),
    })
    this.#reader = new LedgerThread({
      name,
      request: () => ({ location, claimant: undefined, besideWriter: true, environment }),
      onOpen: () => undefined,
      onTakenOver,
    })
  }

  /** Rejects when it cannot; but an outage may be over later: then every call tries again. */
  async open(): Promise<void> {
    try {
      await this.#writer.open()
    } catch (error) {
      if (this.#options.readOnly || !isLedgerOutage(error)) throw error
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
    return await this.#read('intervals', [period], signal)
  }

  async openIntervals(signal: AbortSignal): Promise<readonly UsageInterval[]> {
    return await this.#read('openIntervals', [], signal)
  }

  async adjustments(period: Period, signal: AbortSignal): Promise<readonly Adjustment[]> {
    return await this.#read('adjustments', [period], signal)
  }

  async totals(query: TotalsQuery, signal: AbortSignal): Promise<readonly UsageTotal[]> {
    return await this.#read('totals', [query], signal)
  }

  async keptTotals(signal: AbortSignal): Promise<readonly DayTotal[]> {
    return await this.#read('keptTotals', [], signal)
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
    return await this.#read('pods', [page], signal)
  }

  async openQuestions(period: Period, signal: AbortSignal): Promise<readonly OpenQuestion[]> {
    return await this.#read('openQuestions', [period], signal)
  }

  async rebuild(signal: AbortSignal): Promise<void> {
    await this.#call('rebuild', [], signal)
  }

  async events(page: EventPage, signal: AbortSignal): Promise<readonly StoredEvent[]> {
    return await this.#read('events', [page], signal)
  }

  async keepPriceBooks(books: readonly PriceBook[], signal: AbortSignal): Promise<void> {
    await this.#call('keepPriceBooks', [books], signal)
  }

  async priceBooks(signal: AbortSignal): Promise<readonly PriceBook[]> {
    return await this.#call('priceBooks', [], signal)
  }

  async close(): Promise<void> {
    // The writer's connection last: it clears away what SQLite keeps beside the file.
    await this.#writer.close(this.#reader.close())
  }

  async #commitQueue(): Promise<void> {
    this.#committing = true
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        const outcomes = await this.#writer.request('append', [batch.flatMap(({ events }) => events)])
        this.#events += outcomes.length
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
    return await abortable(this.#writer.request(method, args), signal)
  }

  /** Sees whatever was durable when it was asked for. */
  async #read<M extends keyof SqlLedger>(
    method: M,
    args: Parameters<SqlLedger[M]>,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<SqlLedger[M]>>> {
    const { readOnly, readerFromEvents: from = readerFromEvents } = this.#options
    if (readOnly || this.#events < from) return await this.#call(method, args, signal)
    const job = () => this.#reader.request(method, args)
    return await abortable(this.#reads.take(job, signal), signal)
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

/** One after the other, so that what nobody waits for any more is left out. */
class Line {
  #last: Promise<unknown> = Promise.resolve()

  async take<T>(job: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const turn = this.#last.then(() => {
      signal.throwIfAborted()
      return job()
    })
    this.#last = turn.catch(() => undefined)
    return await turn
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
