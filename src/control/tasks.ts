import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { backoffMs, defaultBackoff, type BackoffPolicy } from './backoff.ts'

/** Runs until its signal is aborted; then it resolves, or rejects with the signal's reason. */
export type Task = (signal: AbortSignal) => Promise<void>

/** Resolves once the signal is aborted. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/**
 * Runs named tasks together until the signal is aborted and all have ended. The first that fails aborts the others;
 * when all have ended, its error is thrown, saying which task it was. A task that ends by itself is done.
 */
export async function runTasks(tasks: Readonly<Record<string, Task>>, signal: AbortSignal): Promise<void> {
  const inner = new AbortController()
  const onAbort = (): void => inner.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  let failed: { readonly error: unknown } | undefined
  const run = async (name: string, task: Task): Promise<void> => {
    try {
      await task(inner.signal)
    } catch (error) {
      // What a task throws once it is told to end is its way to end.
      if (inner.signal.aborted) return
      failed = { error: taskError(name, error) }
      inner.abort(failed.error)
    }
  }
  try {
    await Promise.all(Object.entries(tasks).map(([name, task]) => run(name, task)))
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  if (failed) throw failed.error
}

/** One of ours stays one of ours: it is no bug, and its code decides what becomes of it. */
function taskError(name: string, cause: unknown): Error {
  const message = `task ${name} failed: ${errorMessage(cause)}`
  return cause instanceof SpillwayError
    ? new SpillwayError(cause.code, message, { cause })
    : new Error(message, { cause })
}

export interface SupervisionOptions {
  readonly name: string
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly backoff?: BackoffPolicy
}

/** A run this long was healthy: the next failure is counted as the first. */
const healthyRunMs = 60_000

/** Starts the task again whenever it ends or fails, with back-off, until the signal is aborted; then resolves. */
export async function superviseTask(
  { name, clock, random, log, backoff = defaultBackoff }: SupervisionOptions,
  task: Task,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs()
    let problem = 'it ended by itself'
    try {
      await task(signal)
    } catch (error) {
      problem = errorMessage(error)
    }
    if (signal.aborted) return
    failures = clock.monotonicMs() - startedMs >= healthyRunMs ? 1 : failures + 1
    const restartInMs = backoffMs(backoff, failures, random())
    log.error({ task: name, failures, restartInMs, error: problem }, 'task ended, starting it again')
    try {
      await clock.sleep(restartInMs, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}
