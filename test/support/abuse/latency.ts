import { systemClock } from '../../../src/model/clock.ts'

/** In milliseconds. */
export interface Latency {
  readonly samples: number
  readonly median: number
  readonly worst: number
}

const pauseMs = 50

/** Asks again and again, one after the other, until it is stopped. */
export class LatencyMeter {
  readonly #end = new AbortController()
  readonly #asking: Promise<void>
  readonly #samples: number[] = []

  constructor(ask: () => Promise<unknown>) {
    this.#asking = this.#ask(ask)
    // Told by stop(), not before.
    this.#asking.catch(() => undefined)
  }

  /** Rejects with what the asked one has failed with. */
  async stop(): Promise<Latency> {
    this.#end.abort()
    await this.#asking
    return latencyOf(this.#samples)
  }

  async #ask(ask: () => Promise<unknown>): Promise<void> {
    while (!this.#end.signal.aborted) {
      const beganMs = systemClock.monotonicMs()
      await ask()
      this.#samples.push(systemClock.monotonicMs() - beganMs)
      await systemClock.sleep(pauseMs, this.#end.signal).catch(() => undefined)
    }
  }
}

/** Of nobody who is disturbed, so many times. */
export async function latencyBefore(
  ask: () => Promise<unknown>,
  count: number,
  signal: AbortSignal,
): Promise<Latency> {
  const samples: number[] = []
  for (let at = 0; at < count; at++) {
    const beganMs = systemClock.monotonicMs()
    await ask()
    samples.push(systemClock.monotonicMs() - beganMs)
    await systemClock.sleep(pauseMs, signal)
  }
  return latencyOf(samples)
}

export function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  return {
    samples: sorted.length,
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    worst: sorted.at(-1) ?? Number.NaN,
  }
}

/** For a row of the table: median before and while it went on, the worst meanwhile, and whether twice was enough. */
export function latencyCells(before: Latency, during: Latency): string {
  const times = during.median / before.median
  const held = times <= 2 ? 'yes' : 'no'
  const ms = (value: number): string => value.toFixed(1)
  return `${ms(before.median)} → ${ms(during.median)} | ${ms(during.worst)} | ${held}, ${times.toFixed(2)} × (${during.samples})`
}
