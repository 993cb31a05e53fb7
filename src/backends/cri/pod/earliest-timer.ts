import type { Clock } from '../../../model/clock.ts'

/**
 * One timer that several want something of: the earliest counts. What is wanted while the callback's own work goes on
 * is not put off by what that work asks for at its end.
 */
export class EarliestTimer {
  readonly #clock: Clock
  readonly #callback: () => void
  #next: { readonly dueMs: number; readonly cancel: () => void } | undefined
  #closed = false

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock
    this.#callback = callback
  }

  /** Calls back after that time, or earlier when that is set already. */
  in(delayMs: number): void {
    const dueMs = this.#clock.monotonicMs() + delayMs
    if (this.#closed || (this.#next && this.#next.dueMs <= dueMs)) return
    this.#next?.cancel()
    const cancel = this.#clock.timer(delayMs, () => {
      this.#next = undefined
      this.#callback()
    })
    this.#next = { dueMs, cancel }
  }

  /** Forgets what was wanted so far. */
  clear(): void {
    this.#next?.cancel()
    this.#next = undefined
  }

  /** Never calls back again. */
  close(): void {
    this.#closed = true
    this.clear()
  }
}
