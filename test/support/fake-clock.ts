import type { Clock } from '../../src/model/clock.ts'

/** 2026-01-01T00:00:00Z: a whole hour, day and month, so that slices in tests begin even. */
export const fakeEpochMs = 1_767_225_600_000

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
}

/**
 * Time that moves only when the test says so. Wall and monotonic time move together; `stepWall` moves the wall clock
 * alone, as NTP does.
 */
export class FakeClock implements Clock {
  #monotonicMs = 0
  #wallOffsetMs: number
  #order = 0
  readonly #timers = new Set<Timer>()

  constructor(wallMs: number = fakeEpochMs) {
    this.#wallOffsetMs = wallMs
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#monotonicMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  /** How many sleeps and timers are pending. */
  get pending(): number {
    return this.#timers.size
  }

  /** Milliseconds until the next sleep or timer ends, undefined when none is pending. */
  get nextDueInMs(): number | undefined {
    const next = this.#next()
    return next && next.dueMs - this.#monotonicMs
  }

  timer(durationMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + Math.max(durationMs, 0), order: this.#order++, callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error)
        return
      }
      const onAbort = (): void => {
        cancel()
        reject(signal.reason as Error)
      }
      const cancel = this.timer(durationMs, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /**
   * Moves time forward, ending sleeps and timers in the order in which they are due, each at its own instant; what
   * they start in turn also ends when it is due within the duration.
   */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#monotonicMs + durationMs
    await settled()
    for (let timer = this.#next(); timer && timer.dueMs <= untilMs; timer = this.#next()) {
      this.#timers.delete(timer)
      this.#monotonicMs = Math.max(this.#monotonicMs, timer.dueMs)
      timer.callback()
      await settled()
    }
    this.#monotonicMs = untilMs
  }

  /** Advances to the next sleep or timer and ends it, waiting for one to be there first. */
  async advanceToNext(): Promise<void> {
    await this.whenPending(1)
    await this.advance(this.nextDueInMs ?? 0)
  }

  /** Moves the wall clock alone. */
  stepWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** Resolves once that many sleeps and timers are pending: the code under test has come to rest. */
  async whenPending(count: number): Promise<void> {
    while (this.#timers.size < count) await settled()
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) {
        next = timer
      }
    }
    return next
  }
}

/** Lets everything that waits only for promises go on. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
}
