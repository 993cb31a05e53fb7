import type { Clock } from '../../../model/clock.ts'
import { isTimeout } from '../runtime/errors.ts'
import { retryDelayMs, troubleOf, type Trouble } from './retry.ts'

interface Setback {
  readonly trouble: Trouble
  readonly failures: number
  /** Since when the runtime has broken off each try for want of an answer. Monotonic. */
  readonly silentSinceMs: number | undefined
  /** Monotonic. */
  readonly untilMs: number
}

/** The key of what holds up the Pod as a whole; others are names of containers. */
export const wholePod = ''

/** What holds a Pod or its containers up, and until when they are not tried again, whatever wakes the loop. */
export class Setbacks {
  readonly #clock: Clock
  readonly #byKey = new Map<string, Setback>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The latest. */
  get trouble(): Trouble | undefined {
    return [...this.#byKey.values()].at(-1)?.trouble
  }

  /** For how long the runtime has had no answer for what holds up the Pod or one of its containers. */
  get silentMs(): number {
    const nowMs = this.#clock.monotonicMs()
    return Math.max(0, ...[...this.#byKey.values()].map(({ silentSinceMs = nowMs }) => nowMs - silentSinceMs))
  }

  /** How long until the next try; 0 or less when it need not wait. */
  leftMs(key: string): number {
    return (this.#byKey.get(key)?.untilMs ?? 0) - this.#clock.monotonicMs()
  }

  /** Answers after how long to try again. */
  failed(key: string, error: unknown): { readonly trouble: Trouble; readonly delayMs: number } {
    const before = this.#byKey.get(key)
    const nowMs = this.#clock.monotonicMs()
    const failures = (before?.failures ?? 0) + 1
    const trouble = troubleOf(error)
    const delayMs = retryDelayMs(error, failures)
    const silentSinceMs = isTimeout(error) ? (before?.silentSinceMs ?? nowMs) : undefined
    this.#byKey.delete(key)
    this.#byKey.set(key, { trouble, failures, silentSinceMs, untilMs: nowMs + delayMs })
    return { trouble, delayMs }
  }

  /** What was missing may be there now: nobody need wait. */
  lift(): void {
    for (const [key, setback] of this.#byKey) this.#byKey.set(key, { ...setback, untilMs: 0 })
  }

  over(key: string): void {
    this.#byKey.delete(key)
  }

  /** All others are over: nobody tries them any more. */
  keep(keys: readonly string[]): void {
    for (const key of this.#byKey.keys()) if (!keys.includes(key)) this.#byKey.delete(key)
  }
}
