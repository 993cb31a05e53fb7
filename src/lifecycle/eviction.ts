import type { PodStatus } from '../model/kubernetes.ts'

/** What kubelet gives a Pod that is over a limit of its own (eviction_manager.go immediateEvictionGracePeriodSeconds). */
export const evictionGraceSeconds = 1

export interface Eviction {
  /** `Preempting`: for a critical Pod's sake. */
  readonly reason: 'Evicted' | 'Preempting'
  readonly message: string
}

/**
 * Why this node ends the Pod, as its status says; undefined when it does not. Written before the Pod is ended, so that
 * the next life of this process goes on where this one was killed. A DisruptionTarget condition is not the mark: only Pods
 * that had to go by no fault of theirs have one, and a Job's podFailurePolicy forgives it.
 */
export function evictionOf({ reason, message = '' }: PodStatus = {}): Eviction | undefined {
  return reason === 'Evicted' || reason === 'Preempting' ? { reason, message } : undefined
}
