import type { ContainerKind } from '../model/pod-observation.ts'

export interface EndingContainer {
  readonly name: string
  readonly kind: ContainerKind
}

/**
 * Whose ends a running container has to await before it is told to end itself, as long as there is grace left: a
 * sidecar serves the main containers, and the sidecars that were started after it (kuberuntime_termination_order.go).
 * The containers are the running ones, in the order of the spec.
 */
export function endsBefore(name: string, running: readonly EndingContainer[]): string[] {
  const own = running.findIndex((container) => container.name === name)
  if (running[own]?.kind !== 'sidecar') return []
  return running
    .filter(({ kind }, index) => kind === 'main' || (kind === 'sidecar' && index > own))
    .map((container) => container.name)
}
