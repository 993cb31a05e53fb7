import type { Worker } from 'node:worker_threads'
import { systemClock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import {
  openingId,
  renewalId,
  type LedgerCall,
  type OpenRequest,
  type WorkerAnswer,
  type WorkerRequest,
} from './ledger-messages.ts'
import type { SqlLedger } from './sql-ledger.ts'
import { startThread } from './start-thread.ts'

export interface LedgerThreadOptions {
  /** How errors call the place. */
  readonly name: string
  /** What a thread begins with, asked anew for each. */
  readonly request: () => OpenRequest
  /** Told how many events there are, each time that a thread has it open. */
  readonly onOpen: (events: number) => void
  readonly onTakenOver: (error: SpillwayError) => void
  /** Told every few seconds how the renewal of the claim went. */
  readonly onRenewal?: (failure: SpillwayError | undefined) => void
}

type Answer<M extends keyof SqlLedger> = Awaited<ReturnType<SqlLedger[M]>>

/** A thread that has a ledger open, begun by the first call. One that died is begun again by the next. */
export class LedgerThread {
  readonly #options: LedgerThreadOptions
  #connection: Promise<WorkerConnection> | undefined
  #closed = false

  constructor(options: LedgerThreadOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    await this.#connect()
  }

  async request<M extends keyof SqlLedger>(method: M, args: Parameters<SqlLedger[M]>): Promise<Answer<M>> {
    const connection = await this.#connect()
    const value = await connection.request({ method, args } as unknown as LedgerCall)
    return value as Answer<M>
  }

  /** Refuses what is asked from now on, and ends the thread after what was asked, and after `other`. */
  async close(other?: Promise<void>): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await other?.catch(() => undefined)
    const connection = await this.#connection?.catch(() => undefined)
    await connection?.close()
  }

  #connect(): Promise<WorkerConnection> {
    const { name, request, onOpen, onTakenOver, onRenewal = () => undefined } = this.#options
    if (this.#closed) throw new SpillwayError('LedgerUnavailable', `${name}: the ledger is closed`)
    if (this.#connection) return this.#connection
    const connection = WorkerConnection.open({
      request: request(),
      name,
      onOpen,
      onLost: () => this.#forget(connection),
      onTakenOver,
      onRenewal,
    })
    connection.catch(() => this.#forget(connection))
    this.#connection = connection
    return connection
  }

  #forget(connection: Promise<WorkerConnection>): void {
    if (this.#connection === connection) this.#connection = undefined
  }
}

interface ConnectionOptions {
  readonly request: OpenRequest
  readonly name: string
  readonly onOpen: (events: number) => void
  /** Told when the thread ends, for whatever reason. */
  readonly onLost: () => void
  readonly onTakenOver: (error: SpillwayError) => void
  readonly onRenewal: (failure: SpillwayError | undefined) => void
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
  readonly #ended: Promise<void>
  #lastId = 0

  private constructor(worker: Worker, options: ConnectionOptions) {
    this.#worker = worker
    this.#options = options
    this.#ended = new Promise((resolve) => worker.once('exit', () => resolve()))
  }

  static async open(options: ConnectionOptions): Promise<WorkerConnection> {
    const { request, name, onOpen, onLost } = options
    const { environment } = request
    const source = new URL('./ledger-worker.ts', import.meta.url)
    const worker = startThread({ source, data: request, environment })
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
    try {
      onOpen((await connection.#wait(openingId)) as number)
    } catch (error) {
      await connection.#untilEnded()
      throw error
    }
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

  async close(): Promise<void> {
    try {
      await this.request(undefined)
    } finally {
      await this.#untilEnded()
    }
  }

  /**
   * The thread ends by itself once all of it is closed. To terminate it just then, or to end the process, may crash the
   * whole process: it is in the middle of clearing away.
   */
  async #untilEnded(): Promise<void> {
    this.#worker.ref()
    const cancel = systemClock.timer(endMs, () => void this.#worker.terminate())
    await this.#ended
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
      if (answer.id === renewalId) this.#options.onRenewal(undefined)
      waiting?.resolve(answer.value)
      return
    }
    const { code, message, reason } = answer
    const error = new SpillwayError(code, `${this.#options.name}: ${message}`, {
      ...(reason !== undefined && { reason }),
    })
    if (code === 'LedgerTakenOver') this.#options.onTakenOver(error)
    else if (answer.id === renewalId) this.#options.onRenewal(error)
    waiting?.reject(error)
  }

  #fail(error: SpillwayError): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
