import type { Container, ContainerStatus, Pod } from '../model/kubernetes.ts'
import { isSidecar } from '../model/resources.ts'
import { shouldRestart } from './restart-policy.ts'

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

export interface PodPhaseInput {
  readonly pod: Pod
  /** Of init and of main containers. */
  readonly statuses: readonly ContainerStatus[]
  /** No process is left and none will come: ends count whatever the restart policy. */
  readonly over: boolean
}

/** The phase that the container statuses amount to: kubelet's getPhase (pkg/kubelet/kubelet_pods.go). */
export function podPhase({ pod, statuses, over }: PodPhaseInput): PodPhase {
  const byName = new Map(statuses.map((status) => [status.name, status]))
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const mainStatuses = containers.map((container) => byName.get(container.name))
  const initialized = mainStatuses.some((status) => status?.state?.running ?? status?.state?.terminated)

  const once = countOnce(pod, initContainers, byName)
  if (once.failed > 0) return 'Failed'
  const sidecars = countSidecars(initContainers, byName)
  const main = countMain(pod, containers, byName)
  const unknown = sidecars.unknown + main.unknown

  if (once.pending > 0 || (sidecars.pending > 0 && !initialized)) return 'Pending'
  if (sidecars.waiting + main.waiting > 0) return 'Pending'
  if (unknown > 0) return 'Pending'
  if (sidecars.running + main.running > 0) return 'Running'
  if (main.stopped === 0) return 'Pending'
  if (!over && main.stopped !== main.stoppedForGood) return 'Running'
  return main.stopped === main.succeeded ? 'Succeeded' : 'Failed'
}

type StatusByName = ReadonlyMap<string, ContainerStatus>

/** How the last attempt ended, for a container that does not run now. */
function lastExitCode(status: ContainerStatus): number | undefined {
  return (status.state?.terminated ?? status.lastState?.terminated)?.exitCode
}

function countOnce(pod: Pod, containers: readonly Container[], byName: StatusByName) {
  let pending = 0
  let failed = 0
  for (const container of containers.filter((candidate) => !isSidecar(candidate))) {
    const status = byName.get(container.name)
    const exitCode = status && !status.state?.running ? lastExitCode(status) : undefined
    if (exitCode === undefined) pending++
    else if (exitCode !== 0 && !shouldRestart(container, pod, exitCode)) failed++
  }
  return { pending, failed }
}

function countSidecars(containers: readonly Container[], byName: StatusByName) {
  const counts = { pending: 0, running: 0, waiting: 0, unknown: 0 }
  for (const container of containers.filter(isSidecar)) {
    const status = byName.get(container.name)
    if (!status) {
      counts.unknown++
    } else if (status.state?.running) {
      counts.running++
      if (!status.started) counts.pending++
    } else if (lastExitCode(status) === undefined) {
      // One that ended, or ended and waits to run again, has no say: it is not what the Pod is for.
      counts.pending++
      counts.waiting++
    }
  }
  return counts
}

function countMain(pod: Pod, containers: readonly Container[], byName: StatusByName) {
  const counts = { running: 0, waiting: 0, stopped: 0, stoppedForGood: 0, succeeded: 0, unknown: 0 }
  for (const container of containers) {
    const status = byName.get(container.name)
    if (!status) {
      counts.unknown++
    } else if (status.state?.running) {
      counts.running++
    } else {
      const exitCode = lastExitCode(status)
      if (exitCode === undefined) {
        counts.waiting++
        continue
      }
      counts.stopped++
      if (!shouldRestart(container, pod, exitCode)) counts.stoppedForGood++
      // Only an end of now counts as success; one that waits to run again has not been left at that.
      if (status.state?.terminated && exitCode === 0) counts.succeeded++
    }
  }
  return counts
}
