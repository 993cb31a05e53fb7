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
  /** At most one wish a key; also of keys in flight, for afterwards. */
  readonly #wishes = new Map<string, Wish>()
  /** Keys that are due and not in flight, in the order in which they became due. */
  readonly #ready = new Set<string>()
  readonly #inFlight = new Set<string>()
  #wake: (() => void) | undefined

  constructor({ clock, concurrency }: KeyQueueOptions) {
    if (!(concurrency >= 1)) throw new Error(`concurrency is ${concurrency}, must be 1 or more`)
    this.#clock = clock
    this.#concurrency = concurrency
  }

  /** Keys that wait, for now, for later, or for their own work in flight to end. */
  get waiting(): number {
    return this.#wishes.size
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Wishes for the key to be worked on, after the delay. Never lets it come later than wished before. */
  add(key: string, delayMs = 0): void {
    const dueMs = this.#clock.monotonicMs() + Math.max(delayMs, 0)
    const earlier = this.#wishes.get(key)
    if (earlier && earlier.dueMs <= dueMs) return
    earlier?.cancelTimer()
    const wish = { dueMs, cancelTimer: () => undefined }
    this.#wishes.set(key, wish)
    if (!this.#inFlight.has(key)) this.#arm(key, wish)
  }

  /** Drops the wish for the key. Work in flight goes on. */
  remove(key: string): void {
    this.#wishes.get(key)?.cancelTimer()
    this.#wishes.delete(key)
    this.#ready.delete(key)
  }

  /**
   * The next key to work on, once there is one and a free place; it is given back with `done`. One caller at a time.
   * Rejects with the signal's reason.
   */
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
    const wish = this.#wishes.get(key)
    if (wish) this.#arm(key, wish)
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

  #arm(key: string, wish: Wish): void {
    const delayMs = wish.dueMs - this.#clock.monotonicMs()
    if (delayMs <= 0) this.#makeReady(key)
    else wish.cancelTimer = this.#clock.timer(delayMs, () => this.#makeReady(key))
  }

  #makeReady(key: string): void {
    this.#ready.add(key)
    this.#wake?.()
  }
}

interface Wish {
  /** Monotonic. */
  readonly dueMs: number
  cancelTimer: () => void
}
