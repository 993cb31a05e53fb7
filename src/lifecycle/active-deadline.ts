import { parseTimeMs } from '../model/clock.ts'
import type { Pod } from '../model/kubernetes.ts'
import { lastFinishedAtMs, type PodObservation } from '../model/pod-observation.ts'

/** Why a Pod is ended that has been active for too long: reason and message of pkg/kubelet/active_deadline.go. */
export const deadlineExceeded = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
}

/** Up to when the Pod may be active: so many seconds from the start time in its status. Undefined: there is no limit. */
export function activeDeadlineMs({ spec, status }: Pick<Pod, 'spec' | 'status'>): number | undefined {
  if (spec?.activeDeadlineSeconds === undefined || !status?.startTime) return undefined
  return parseTimeMs(status.startTime) + spec.activeDeadlineSeconds * 1000
}

/** Whether the Pod has been active for too long. One whose last process ended in time has not, whenever that is seen. */
export function isPastDeadline(
  pod: Pick<Pod, 'spec' | 'status'>,
  observed: PodObservation | undefined,
  nowMs: number,
): boolean {
  const deadlineMs = activeDeadlineMs(pod)
  if (deadlineMs === undefined || nowMs < deadlineMs) return false
  if (observed?.phase !== 'stopped') return true
  return (lastFinishedAtMs(observed) ?? nowMs) >= deadlineMs
}
