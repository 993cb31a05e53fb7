import type { KubeApi } from '../kube/api.ts'
import { pods } from '../kube/resources.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import { evictionOf, type Eviction } from '../lifecycle/eviction.ts'
import { preemptionCondition, preemptionMessage } from '../lifecycle/preemption.ts'
import { kubeTime, type Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type { Pod, PodCondition } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { PodEventSink } from './pod-event.ts'

/** The Pods of one virtual node, and who may write their statuses. */
export interface WatchedPods {
  readonly pods: readonly Pod[]
  readonly api: KubeApi
  /** The Pod as the API server has it now. */
  readonly wrote: (pod: Pod) => void
}

export interface EvictionWish {
  readonly node: Pick<WatchedPods, 'api' | 'wrote'>
  readonly pod: Pod
  /** Default `Evicted`. */
  readonly reason?: Eviction['reason']
  readonly message: string
  readonly condition?: PodCondition
  readonly recordEvent: PodEventSink
}

/** Whether the Pod runs, or is to, and nobody has asked for its end. */
export function mayBeEvicted(pod: Pod): boolean {
  return !pod.metadata?.deletionTimestamp && !isTerminal(pod) && !evictionOf(pod.status)
}

/** Marks the Pod for its end; the rest is its usual way: `decide` sees the mark. */
export async function evict(
  { node, pod, reason = 'Evicted', message, condition, recordEvent }: EvictionWish,
  signal: AbortSignal,
): Promise<void> {
  const { uid, namespace, name } = podRef(pod)
  const eviction: Eviction = { reason, message }
  const body = { metadata: { uid }, status: { ...eviction, ...(condition && { conditions: [condition] }) } }
  const patch = { type: 'strategic', subresource: 'status', body } as const
  try {
    node.wrote(await node.api.patch(pods, { namespace, name }, patch, signal))
  } catch (error) {
    // Gone, or another Pod of that name: nothing is left to evict.
    if (hasCode(error, 'NotFound') || hasCode(error, 'Conflict')) return
    throw error
  }
  recordEvent(pod, { type: 'Warning', ...eviction })
}

/** It makes room for a critical Pod, in kubelet's words. */
export async function evictForCritical(
  { clock, ...wish }: Pick<EvictionWish, 'node' | 'pod' | 'recordEvent'> & { readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const condition = disrupted(wish.pod, preemptionCondition, clock.wallMs())
  await evict({ ...wish, reason: 'Preempting', message: preemptionMessage, condition }, signal)
}

/** It goes by no fault of its own, or not by that alone: a Job's podFailurePolicy may forgive it. */
export function disrupted(pod: Pod, message: string, nowMs: number): PodCondition {
  return {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'TerminationByKubelet',
    message,
    lastTransitionTime: kubeTime(nowMs),
    ...(pod.metadata?.generation !== undefined && { observedGeneration: pod.metadata.generation }),
  }
}
