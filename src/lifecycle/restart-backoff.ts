/** The first wait before a container runs again, doubled each time up to the longest (pkg/kubelet/kubelet.go). */
export const firstRestartDelayMs = 10_000
export const longestRestartDelayMs = 300_000

/** A run longer than this forgives what was before it. */
export const forgivingRunMs = 600_000

/** What has to be known of a run to say when the next one may begin. */
export interface RunBefore {
  /** The back-off that was in force when it was started; 0: none yet, or that of another image. */
  readonly backoffMs: number
  readonly startedAtMs: number
}

/**
 * How long after an end a container has to wait. The first restart is at once, the second after 10 s, then 20 s …
 *
 * Kubelet keeps the doubling in memory and forgets it when it restarts. Here each attempt carries the back-off that was
 * in force when it was started, so that a restart of ours neither forgives nor punishes.
 */
export function restartDelayMs(run: RunBefore, endedAtMs: number): number {
  return endedAtMs - run.startedAtMs > forgivingRunMs ? 0 : run.backoffMs
}

/** The back-off that is in force for the attempt after that end. */
export function nextBackoffMs(run: RunBefore, endedAtMs: number): number {
  const servedMs = restartDelayMs(run, endedAtMs)
  return servedMs === 0 ? firstRestartDelayMs : Math.min(servedMs * 2, longestRestartDelayMs)
}

/** As Go prints a duration: `10s`, `1m20s`, `5m0s`. */
export function formatDelay(delayMs: number): string {
  const seconds = Math.round(delayMs / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
