import { clockStepMs, wallOffsetMs, type Clock } from '../model/clock.ts'
import type { Log } from '../telemetry/log.ts'

const lookMs = 5_000

/**
 * Notices that the wall clock was set while the monotonic one went on. No bill of a Pod that runs follows it
 * (billing/steady-time.ts), but logs and certificates do, and people have to know.
 */
export class ClockSteps {
  readonly #clock: Clock
  readonly #log: Log
  readonly #listeners = new Set<(byMs: number) => void>()
  #count = 0

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  /** How often, since the start. */
  get count(): number {
    return this.#count
  }

  /** Calls back with by how much it was set: negative, back. Returns the end of the subscription. */
  subscribe(listener: (byMs: number) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Until the signal is aborted, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    let offsetMs = wallOffsetMs(this.#clock)
    while (!signal.aborted) {
      try {
        await this.#clock.sleep(lookMs, signal)
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      const nowMs = wallOffsetMs(this.#clock)
      this.#look(Math.round(nowMs - offsetMs))
      // What is slewed is no step, however far it goes in the end.
      offsetMs = nowMs
    }
  }

  #look(byMs: number): void {
    if (Math.abs(byMs) < clockStepMs) return
    this.#count += 1
    this.#log.warn({ byMs }, 'the wall clock was set: Pods that run go on being billed as if it were not')
    for (const listener of this.#listeners) listener(byMs)
  }
}
