import type { ContainerObservation, PodObservation } from '../model/pod-observation.ts'

// What a backend told just now may be that much ahead of when we ask our own clock.
const readingMs = 1_000

/**
 * What a backend says whose clock is ours, after that was set ahead: what lies after now, on the clock that the Pod goes by
 * (SteadyTime), was told by the clock as it was set, and is that much too late. Else a Pod that ends after an hour was
 * skipped would be billed an hour that nobody ran. What was told longer ago than the clock was set by cannot be told from
 * what came before, but then the ledger has it already, and what was written first stands.
 */
export function onEvenClock(
  observed: PodObservation,
  { nowMs, aheadMs }: { readonly nowMs: number; readonly aheadMs: number },
): PodObservation {
  if (aheadMs <= 0) return observed
  const even = (atMs: number): number => (atMs > nowMs + readingMs ? atMs - aheadMs : atMs)
  const { sandbox, allocation, containers } = observed
  return {
    ...observed,
    ...(sandbox && { sandbox: { ...sandbox, createdAtMs: even(sandbox.createdAtMs) } }),
    ...(allocation?.inEffectAtMs !== undefined && {
      allocation: { ...allocation, inEffectAtMs: even(allocation.inEffectAtMs) },
    }),
    containers: containers.map((container) => evenContainer(container, even)),
  }
}

function evenContainer(
  container: ContainerObservation,
  even: (atMs: number) => number,
): ContainerObservation {
  const { state, lastTerminated } = container
  const times = <T extends { readonly startedAtMs: number; readonly finishedAtMs: number }>(ended: T): T => ({
    ...ended,
    startedAtMs: even(ended.startedAtMs),
    finishedAtMs: even(ended.finishedAtMs),
  })
  const now =
    state.kind === 'running'
      ? { ...state, startedAtMs: even(state.startedAtMs) }
      : state.kind === 'terminated'
        ? times(state)
        : state
  return { ...container, state: now, ...(lastTerminated && { lastTerminated: times(lastTerminated) }) }
}
