import type { Clock } from '../../../model/clock.ts'
import { EarliestTimer } from './earliest-timer.ts'

/**
 * A task that is run again whenever something may have changed: one run at a time, and no change is lost, since what
 * comes during a run makes another one follow. The task handles its own errors.
 */
export class Rounds {
  readonly #task: (signal: AbortSignal) => Promise<void>
  readonly #life = new AbortController()
  readonly #timer: EarliestTimer
  #dirty = false
  #running: Promise<void> | undefined

  constructor(clock: Clock, task: (signal: AbortSignal) => Promise<void>) {
    this.#task = task
    this.#timer = new EarliestTimer(clock, () => this.nudge())
  }

  /** Aborted by `close`. */
  get signal(): AbortSignal {
    return this.#life.signal
  }

  /** Something may have changed. */
  nudge(): void {
    this.#dirty = true
    // The round that follows says anew when to come again.
    this.#timer.clear()
    if (this.#life.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#dirty && !this.#life.signal.aborted) this.nudge()
    })
  }

  /** The next round comes then, if nothing happens before: several parts of a round may ask, the earliest counts. */
  wakeIn(delayMs: number): void {
    this.#timer.in(Math.max(delayMs, 0))
  }

  /** No further round. Resolves when the one under way is over. */
  async close(reason: Error): Promise<void> {
    this.#life.abort(reason)
    this.#timer.close()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#life.signal.aborted) {
      this.#dirty = false
      await this.#task(this.#life.signal)
    }
  }
}
