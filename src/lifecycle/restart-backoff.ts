import type { ContainerObservation, TerminatedState } from '../model/pod-observation.ts'

/** The waits before a container runs again: none at first, then 10 s doubling to 5 min (pkg/kubelet/kubelet.go). */
export const restartDelaysMs: readonly number[] = [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]

/** A run this long forgives what was before it: twice the longest wait, as client-go's flowcontrol.Backoff has it. */
export const forgivingRunMs = 600_000

// A back-off ends when a timer fires and a process starts; clocks of different resolution may cut a little off.
const toleranceMs = 1_000

/**
 * How long after its end a container has to wait before it is started again.
 *
 * Kubelet keeps the doubling in memory and forgets it when it restarts. Here it is read off the evidence, so that a
 * restart of ours neither forgives nor punishes: the time between the end before last and the start after it IS the
 * wait that was served last, and the next step of the ladder follows it. A slow image pull or an outage of ours makes
 * that gap look longer than the wait was; the restart count bounds the error, since n restarts can have climbed n steps.
 */
export function restartDelayMs(container: ContainerObservation): number {
  const { ended, endedBefore } = lastTwoEnds(container)
  if (!ended) return 0
  const startedAtMs = realStartMs(ended)
  if (ended.finishedAtMs - startedAtMs >= forgivingRunMs) return 0
  const climbed = Math.min(container.restartCount, restartDelaysMs.length - 1)
  if (!endedBefore) return restartDelaysMs[climbed] ?? 0
  const servedMs = startedAtMs - endedBefore.finishedAtMs + toleranceMs
  const served = restartDelaysMs.findLastIndex((delayMs) => delayMs <= servedMs)
  return restartDelaysMs[Math.min(served + 1, climbed)] ?? 0
}

function lastTwoEnds(container: ContainerObservation): {
  readonly ended: TerminatedState | undefined
  readonly endedBefore: TerminatedState | undefined
} {
  if (container.state.kind === 'terminated')
    return { ended: container.state, endedBefore: container.lastTerminated }
  // Waiting: what is last is known, what was before it is not told any more.
  return {
    ended: container.state.kind === 'waiting' ? container.lastTerminated : undefined,
    endedBefore: undefined,
  }
}

/** A container that could not be started at all has no start (containerd reports the epoch): it ended as it began. */
function realStartMs(ended: TerminatedState): number {
  return ended.startedAtMs > 0 ? Math.min(ended.startedAtMs, ended.finishedAtMs) : ended.finishedAtMs
}

/** As Go prints a duration: `10s`, `1m20s`, `5m0s`. */
export function formatDelay(delayMs: number): string {
  const seconds = Math.round(delayMs / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
