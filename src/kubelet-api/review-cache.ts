import type { Clock } from '../model/clock.ts'

interface Entry<T> {
  readonly answer: Promise<T>
  /** Infinite while the question is under way. */
  validUntilMs: number
  /** What it was, last time. */
  last?: T
}

/** Answers of the API server to the same question, each kept for its own time. Errors are not kept. */
export class ReviewCache<T> {
  readonly #clock: Clock
  readonly #keepMs: (answer: T) => number
  readonly #mostEntries: number
  readonly #entries = new Map<string, Entry<T>>()

  constructor({
    clock,
    keepMs,
    mostEntries = 4096,
  }: {
    readonly clock: Clock
    readonly keepMs: (answer: T) => number
    readonly mostEntries?: number
  }) {
    this.#clock = clock
    this.#keepMs = keepMs
    this.#mostEntries = mostEntries
  }

  /**
   * Asks at most once at a time for a key, telling what the answer was before it got old. When `ask` throws instead of
   * answering with a promise, no other answer makes room for this one.
   */
  async get(key: string, ask: (last: T | undefined) => Promise<T>): Promise<T> {
    const known = this.#entries.get(key)
    if (known && this.#clock.monotonicMs() < known.validUntilMs) return await known.answer
    const entry: Entry<T> = { answer: ask(known?.last), validUntilMs: Number.POSITIVE_INFINITY }
    // Anew, so that the order of the map stays that of the asking.
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#dropOldest()
    try {
      const answer = await entry.answer
      entry.last = answer
      entry.validUntilMs = this.#clock.monotonicMs() + this.#keepMs(answer)
      return answer
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
      // Too old to be an answer, but still the last one.
      if (known && this.#entries.size < this.#mostEntries) this.#entries.set(key, known)
      throw error
    }
  }

  #dropOldest(): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= this.#mostEntries) return
      this.#entries.delete(key)
    }
  }
}
