import type { Clock } from '../model/clock.ts'

export interface KeyQueueOptions {
  readonly clock: Clock
  /** How many keys may be in flight at once. */
  readonly concurrency: number
}

/**
 * Keys that want to be worked on. A key waits at most once: of several wishes the earliest wins. A key that is in
 * flight is not handed out again; wishes for it are kept until it is done. So each key is worked on serially, as
 * kubelet's Pod workers and client-go's workqueue do.
 */
export class KeyQueue {
  readonly #clock: Clock
  readonly #concurrency: number
  /** Due time in monotonic milliseconds of each wish, keys in flight included. */
  readonly #wishes = new Map<string, number>()
  /** Keys that are due, in the order in which they became so. */
  readonly #ready = new Set<string>()
  readonly #inFlight = new Set<string>()
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined
  #wake: (() => void) | undefined

  constructor({ clock, concurrency }: KeyQueueOptions) {
    if (!(concurrency >= 1)) throw new Error(`concurrency is ${concurrency}, must be 1 or more`)
    this.#clock = clock
    this.#concurrency = concurrency
  }

  /** Keys waiting, for now or for later; those in flight not counted. */
  get waiting(): number {
    return [...this.#wishes.keys()].filter((key) => !this.#inFlight.has(key)).length
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Wishes for the key to be worked on, after the delay. Never lets it come later than wished before. */
  add(key: string, delayMs = 0): void {
    const nowMs = this.#clock.monotonicMs()
    const dueMs = nowMs + Math.max(delayMs, 0)
    const earlier = this.#wishes.get(key)
    if (earlier !== undefined && earlier <= dueMs) return
    this.#wishes.set(key, dueMs)
    if (this.#inFlight.has(key)) return
    if (dueMs <= nowMs) this.#makeReady(key)
    else this.#schedule(dueMs)
  }

  /** Drops the wish for a key that is not in flight. */
  remove(key: string): void {
    this.#wishes.delete(key)
    this.#ready.delete(key)
  }

  /** The next key to work on, once there is one and a free place. Every key taken is given back with `done`. */
  async take(signal: AbortSignal): Promise<string> {
    const onAbort = (): void => this.#wake?.()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        const key = this.#takeReady()
        if (key !== undefined) return key
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The key is no longer in flight; a wish made meanwhile counts from now on. */
  done(key: string): void {
    if (!this.#inFlight.delete(key)) throw new Error(`the key "${key}" is not in flight`)
    const dueMs = this.#wishes.get(key)
    if (dueMs !== undefined) {
      if (dueMs <= this.#clock.monotonicMs()) this.#makeReady(key)
      else this.#schedule(dueMs)
    }
    this.#wake?.()
  }

  #takeReady(): string | undefined {
    if (this.#inFlight.size >= this.#concurrency) return undefined
    const [key] = this.#ready
    if (key === undefined) return undefined
    this.#ready.delete(key)
    this.#wishes.delete(key)
    this.#inFlight.add(key)
    return key
  }

  #makeReady(key: string): void {
    this.#ready.add(key)
    this.#wake?.()
  }

  /** One timer for the whole queue: the earliest wish. */
  #schedule(dueMs: number): void {
    if (this.#timer && this.#timer.dueMs <= dueMs) return
    this.#timer?.cancel()
    const cancel = this.#clock.timer(dueMs - this.#clock.monotonicMs(), () => this.#onTimer())
    this.#timer = { dueMs, cancel }
  }

  #onTimer(): void {
    this.#timer = undefined
    const nowMs = this.#clock.monotonicMs()
    let nextMs: number | undefined
    const due: { key: string; dueMs: number }[] = []
    for (const [key, dueMs] of this.#wishes) {
      if (this.#inFlight.has(key) || this.#ready.has(key)) continue
      if (dueMs <= nowMs) due.push({ key, dueMs })
      else nextMs = Math.min(nextMs ?? dueMs, dueMs)
    }
    due.sort((a, b) => a.dueMs - b.dueMs)
    for (const { key } of due) this.#makeReady(key)
    if (nextMs !== undefined) this.#schedule(nextMs)
  }
}
