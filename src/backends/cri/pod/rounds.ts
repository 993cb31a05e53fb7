import type { Clock } from '../../../model/clock.ts'

/**
 * A task that is run again whenever something may have changed: one run at a time, and no change is lost, since what
 * comes during a run makes another one follow. The task handles its own errors.
 */
export class Rounds {
  readonly #clock: Clock
  readonly #task: (signal: AbortSignal) => Promise<void>
  readonly #life = new AbortController()
  #dirty = false
  #running: Promise<void> | undefined
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, task: (signal: AbortSignal) => Promise<void>) {
    this.#clock = clock
    this.#task = task
  }

  /** Aborted by `close`. */
  get signal(): AbortSignal {
    return this.#life.signal
  }

  /** Something may have changed. */
  nudge(): void {
    this.#dirty = true
    this.#cancelTimer?.()
    if (this.#life.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#dirty && !this.#life.signal.aborted) this.nudge()
    })
  }

  /** The next round comes then, if nothing happens before. */
  wakeIn(delayMs: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#clock.timer(Math.max(delayMs, 0), () => this.nudge())
  }

  /** No further round. Resolves when the one under way is over. */
  async close(reason: Error): Promise<void> {
    this.#life.abort(reason)
    this.#cancelTimer?.()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#life.signal.aborted) {
      this.#dirty = false
      await this.#task(this.#life.signal)
    }
  }
}
