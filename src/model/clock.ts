import { setTimeout as nodeSleep } from 'node:timers/promises'

/**
 * Time as a parameter. Records use `wallMs`, durations use `monotonicMs`: a stepped wall clock must not bill an hour
 * or expire a lease.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch (POSIX seconds: leap seconds do not exist). */
  wallMs(): number
  /** Milliseconds from an arbitrary origin, never going back. */
  monotonicMs(): number
  /** Resolves after the duration; rejects with the signal's reason when that is aborted first. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>
  /** Calls back once after the duration, unless the returned cancel is called first. Never keeps the process alive. */
  timer(durationMs: number, callback: () => void): () => void
}

// setTimeout takes a 32-bit number and fires at once past it, which would turn "in a month" into a busy loop.
const longestTimerMs = 2 ** 31 - 1

/** The one real clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    signal.throwIfAborted()
    try {
      await nodeSleep(Math.min(Math.max(durationMs, 0), longestTimerMs), undefined, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  },
  timer: (durationMs, callback) => {
    const handle = setTimeout(callback, Math.min(Math.max(durationMs, 0), longestTimerMs))
    handle.unref()
    return () => clearTimeout(handle)
  },
}

/** Less is what NTP corrects in small steps, and what two readings of two clocks are apart. */
export const clockStepMs = 1_000

/** By how much the wall clock is ahead of the monotonic one: it changes when somebody sets the wall clock. */
export function wallOffsetMs(clock: Pick<Clock, 'wallMs' | 'monotonicMs'>): number {
  return clock.wallMs() - clock.monotonicMs()
}

/** RFC 3339 with whole seconds, the resolution that `metav1.Time` keeps. */
export function kubeTime(wallMs: number): string {
  return new Date(Math.floor(wallMs / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}

/** RFC 3339 with microseconds, as `metav1.MicroTime` wants (leases, events). */
export function kubeMicroTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z')
}

/** Milliseconds since the epoch of an RFC 3339 time. Throws naming the text when it is none. */
export function parseTimeMs(text: string): number {
  const wallMs = Date.parse(text)
  if (Number.isNaN(wallMs)) throw new Error(`"${text}" is not an RFC 3339 time`)
  return wallMs
}
