import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { backoffMs, defaultBackoff, type BackoffPolicy } from './backoff.ts'
import type { KeyQueue } from './queue.ts'

export interface ControllerOptions {
  /** For log lines. */
  readonly name: string
  /** Keys come in by its `add`; the number of workers is its `concurrency`. */
  readonly queue: KeyQueue
  /** Brings one key to where it should be. `afterMs`: come again without being asked. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<{ readonly afterMs?: number } | void>
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly backoff?: BackoffPolicy
}

/**
 * Works through the queue until the signal is aborted, then waits for what is in flight and resolves. The one place
 * that decides about retries: an error of the table that is worth it, or an unknown one, is tried again after a
 * back-off of its key (never before the `afterMs` it carries); any other is logged, and the key rests until it is
 * added again.
 */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const failures = new Map<string, number>()
  const running = new Set<Promise<void>>()
  while (!signal.aborted) {
    let key: string
    try {
      key = await options.queue.take(signal)
    } catch (error) {
      if (signal.aborted) break
      throw error
    }
    const work = reconcileOnce(options, key, failures, signal).finally(() => running.delete(work))
    running.add(work)
  }
  await Promise.all(running)
}

async function reconcileOnce(
  { name, queue, reconcile, random, log, backoff = defaultBackoff }: ControllerOptions,
  key: string,
  failures: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  let againMs: number | undefined
  try {
    const result = await reconcile(key, signal)
    failures.delete(key)
    againMs = result?.afterMs
  } catch (error) {
    if (!signal.aborted) {
      const count = (failures.get(key) ?? 0) + 1
      const delayMs = retryDelayMs(error, backoffMs(backoff, count, random()))
      if (delayMs === undefined) failures.delete(key)
      else failures.set(key, count)
      againMs = delayMs
      logFailure(log, { controller: name, key, failures: count, retryInMs: delayMs }, error)
    }
  }
  // The wish goes in first: `done` then weighs it against those that came in meanwhile.
  if (againMs !== undefined && !signal.aborted) queue.add(key, againMs)
  queue.done(key)
}

/** Milliseconds until the next try; undefined: none. */
export function retryDelayMs(error: unknown, backoffDelayMs: number): number | undefined {
  if (!(error instanceof SpillwayError)) return backoffDelayMs
  return error.retry ? Math.max(backoffDelayMs, error.afterMs ?? 0) : undefined
}

function logFailure(log: Log, fields: Record<string, unknown>, error: unknown): void {
  if (error instanceof SpillwayError) {
    log.warn({ ...fields, code: error.code, error: error.message }, 'reconcile failed')
  } else {
    // From outside the table: a bug of ours, whose place the stack tells.
    log.error({ ...fields, error: errorMessage(error), stack: (error as Error)?.stack }, 'reconcile threw')
  }
}
