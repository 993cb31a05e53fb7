import type { Clock } from '../../model/clock.ts'
import { retryDelayMs, troubleOf, type Trouble } from './retry.ts'

/** What holds a Pod up, and until when nothing of it is started, whatever wakes its loop. */
export class Setback {
  readonly #clock: Clock
  #trouble: Trouble | undefined
  #failures = 0
  #untilMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get trouble(): Trouble | undefined {
    return this.#trouble
  }

  /** How long the next start has to wait; 0 or less when it need not. */
  get leftMs(): number {
    return this.#untilMs - this.#clock.monotonicMs()
  }

  /** Answers after how long to try again. */
  failed(error: unknown): { readonly trouble: Trouble; readonly delayMs: number } {
    this.#failures++
    const trouble = troubleOf(error)
    const delayMs = retryDelayMs(error, this.#failures)
    this.#trouble = trouble
    this.#untilMs = this.#clock.monotonicMs() + delayMs
    return { trouble, delayMs }
  }

  /** What was missing may be there now: the next try need not wait. */
  lift(): void {
    this.#untilMs = 0
  }

  over(): void {
    this.#failures = 0
    this.#trouble = undefined
  }
}
