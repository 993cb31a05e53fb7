import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { LedgerConfig } from '../../config/ledger.ts'
import { systemClock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
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
import {
  openingId,
  type LedgerCall,
  type OpenRequest,
  type WorkerAnswer,
  type WorkerRequest,
} from './ledger-messages.ts'
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
 * The calling side of the thread that has the ledger open. A thread that died is started again by the next call, and
 * goes on with the claim of the one before.
 */
export class WorkerLedger implements LedgerStore {
  readonly #options: WorkerLedgerOptions
  readonly #holder = randomUUID()
  #claimed = false
  #takenOver: SpillwayError | undefined
  #connection: Promise<WorkerConnection> | undefined
  #closed = false
  #queue: QueuedAppend[] = []
  #committing = false

  constructor(options: WorkerLedgerOptions) {
    this.#options = options
  }

  /** Rejects when it cannot; but a disk that is full now may not be later: then every call tries again. */
  async open(): Promise<void> {
    try {
      await this.#connect()
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
    if (this.#closed) return
    this.#closed = true
    const connection = await this.#connection?.catch(() => undefined)
    await connection?.close()
  }

  async #commitQueue(): Promise<void> {
    this.#committing = true
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        const outcomes = await this.#request('append', [batch.flatMap(({ events }) => events)])
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
    return await abortable(this.#request(method, args), signal)
  }

  async #request<M extends keyof SqlLedger>(
    method: M,
    args: Parameters<SqlLedger[M]>,
  ): Promise<Awaited<ReturnType<SqlLedger[M]>>> {
    const connection = await this.#connect()
    const value = await connection.request({ method, args } as unknown as LedgerCall)
    return value as Awaited<ReturnType<SqlLedger[M]>>
  }

  #connect(): Promise<WorkerConnection> {
    const { name, location, environment } = this.#options
    if (this.#closed) throw new SpillwayError('LedgerUnavailable', `${name}: the ledger is closed`)
    if (this.#connection) return this.#connection
    const connection = WorkerConnection.open({
      request: { location, claimant: this.#claimant(), environment },
      name,
      onLost: () => this.#forget(connection),
      onTakenOver: (error) => this.#tellTakenOver(error),
    })
    connection.then(
      () => {
        this.#claimed = true
      },
      // The thread ends a little later than it says that it could not open: the next call must not meet it.
      () => this.#forget(connection),
    )
    this.#connection = connection
    return connection
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

  #forget(connection: Promise<WorkerConnection>): void {
    if (this.#connection === connection) this.#connection = undefined
  }
}

interface ConnectionOptions {
  readonly request: OpenRequest
  readonly name: string
  /** Told when the thread ends, for whatever reason. */
  readonly onLost: () => void
  readonly onTakenOver: (error: SpillwayError) => void
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

// Nothing is left to do in it: one that takes longer holds on to something that we do not know of.
const endMs = 10_000

/** Requests and answers of one worker thread. */
class WorkerConnection {
  readonly #worker: Worker
  readonly #options: ConnectionOptions
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0

  private constructor(worker: Worker, options: ConnectionOptions) {
    this.#worker = worker
    this.#options = options
  }

  static async open(options: ConnectionOptions): Promise<WorkerConnection> {
    const { request, name, onLost } = options
    const worker = new Worker(workerUrl(), {
      workerData: request,
      // PostgreSQL's client reads its variables from there, and nothing else is its business.
      env: { ...request.environment },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    const connection = new WorkerConnection(worker, options)
    const lost = (what: string): void => {
      onLost()
      connection.#fail(new SpillwayError('LedgerUnavailable', `${name}: ${what}`))
    }
    worker.on('message', (answer: WorkerAnswer) => connection.#settle(answer))
    worker.on('error', (error) => lost(`the ledger's thread failed: ${error.message}`))
    worker.on('exit', () => lost("the ledger's thread has ended"))
    // It must not keep a process alive that has nothing else to do.
    worker.unref()
    await connection.#wait(openingId)
    return connection
  }

  async request(call: LedgerCall | undefined): Promise<unknown> {
    this.#lastId += 1
    const id = this.#lastId
    const answered = this.#wait(id)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- to a thread, which has no origin
    this.#worker.postMessage({ id, call } satisfies WorkerRequest)
    return await answered
  }

  /**
   * The thread ends by itself once all of it is closed. To terminate it just then may crash the whole process: it is in
   * the middle of clearing away.
   */
  async close(): Promise<void> {
    const ended = Promise.withResolvers<void>()
    this.#worker.once('exit', () => ended.resolve())
    await this.request(undefined)
    this.#worker.ref()
    const cancel = systemClock.timer(endMs, () => void this.#worker.terminate())
    await ended.promise
    cancel()
  }

  async #wait(id: number): Promise<unknown> {
    this.#worker.ref()
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject })
      })
    } finally {
      if (this.#waiting.size === 0) this.#worker.unref()
    }
  }

  #settle(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.ok) {
      waiting?.resolve(answer.value)
      return
    }
    const { code, message, reason } = answer
    const error = new SpillwayError(code, `${this.#options.name}: ${message}`, {
      ...(reason !== undefined && { reason }),
    })
    if (code === 'LedgerTakenOver') this.#options.onTakenOver(error)
    waiting?.reject(error)
  }

  #fail(error: SpillwayError): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** A release is built JavaScript, where the worker lies under the same name with the other ending. */
function workerUrl(): URL {
  const url = new URL('./ledger-worker.ts', import.meta.url)
  return import.meta.url.endsWith('.js') ? new URL(url.href.replace(/\.ts$/, '.js')) : url
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
