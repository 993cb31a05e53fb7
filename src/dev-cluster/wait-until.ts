import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'

export interface WaitOptions {
  /** As in `the API server is ready`. */
  readonly condition: string
  readonly timeoutMs: number
  readonly clock: Clock
  /** Asked before each next try: an error ends the waiting, because what is waited for cannot come any more. */
  readonly checkAlive?: (signal: AbortSignal) => Promise<void>
  /** Added to the error, such as the end of a log. */
  readonly details?: () => Promise<string>
}

const pollMs = 50

/**
 * Tries until the check answers with something other than undefined; an error of the check counts as "not yet", and
 * the last one is named when time is up. Rejects with Environment, or the signal's reason.
 */
export async function waitUntil<T>(
  check: (signal: AbortSignal) => Promise<T | undefined>,
  options: WaitOptions,
  signal: AbortSignal,
): Promise<T> {
  const { clock } = options
  const deadlineMs = clock.monotonicMs() + options.timeoutMs
  let lastError: unknown
  for (;;) {
    try {
      const result = await check(signal)
      if (result !== undefined) return result
    } catch (error) {
      lastError = error
    }
    signal.throwIfAborted()
    await options.checkAlive?.(signal)
    if (clock.monotonicMs() >= deadlineMs) break
    await clock.sleep(pollMs, signal)
  }
  const details = (await options.details?.()) ?? ''
  const seconds = Math.round(options.timeoutMs / 1000)
  const because = lastError === undefined ? '' : `: ${errorMessage(lastError)}`
  throw new SpillwayError(
    'Environment',
    `waited ${seconds} s in vain until ${options.condition}${because}${details === '' ? '' : `\n${details}`}`,
    { cause: lastError },
  )
}
