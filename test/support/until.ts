import { systemClock } from '../../src/model/clock.ts'

/** Resolves when it holds. Rejects with what was waited for when it does not within a minute, or with the error of the look. */
export async function until(what: string, holds: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!(await holds())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited a minute in vain: ${what}`)
    await systemClock.sleep(20, signal)
  }
}
