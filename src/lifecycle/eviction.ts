import type { PodStatus } from '../model/kubernetes.ts'

/** What kubelet gives a Pod that is over a limit of its own (eviction_manager.go immediateEvictionGracePeriodSeconds). */
export const evictionGraceSeconds = 1

export interface Eviction {
  readonly reason: 'Evicted'
  readonly message: string
}

/**
 * Why this node ends the Pod, as its status says; undefined when it does not. Written before the Pod is ended, so that
 * the next life of this process goes on where this one was killed. Not a DisruptionTarget condition: that is for Pods
 * that had to go by no fault of theirs, and a Job's podFailurePolicy forgives it; kubelet gives none either.
 */
export function evictionOf({ reason, message = '' }: PodStatus = {}): Eviction | undefined {
  return reason === 'Evicted' ? { reason, message } : undefined
}
