import type { Pod } from '../model/kubernetes.ts'
import { podRequests } from '../model/resources.ts'
import { qosClass } from './qos.ts'

/** A resize that waits for room. */
export interface WaitingResize {
  /** With the size that it asks for. */
  readonly pod: Pod
  /** With the size that was set aside for it. */
  readonly allocated: Pod
  /** Since when it waits; undefined: it has not been looked at yet. */
  readonly sinceMs: number | undefined
}

/**
 * Who is looked at first (pkg/kubelet/allocation sortWaitingResizes): whoever asks for no more than he has, the higher
 * priority, Guaranteed before Burstable, whoever waits longer.
 */
export function byResizeOrder(a: WaitingResize, b: WaitingResize): number {
  return (
    Number(grows(a)) - Number(grows(b)) ||
    priority(b.pod) - priority(a.pod) ||
    Number(isGuaranteed(b.pod)) - Number(isGuaranteed(a.pod)) ||
    compareSince(a.sinceMs, b.sinceMs)
  )
}

function grows({ pod, allocated }: WaitingResize): boolean {
  const wanted = podRequests(pod)
  const held = podRequests(allocated)
  return wanted.cpuMillis > held.cpuMillis || wanted.memoryBytes > held.memoryBytes
}

function priority({ spec }: Pod): number {
  return spec?.priority ?? 0
}

function isGuaranteed(pod: Pod): boolean {
  return qosClass(pod) === 'Guaranteed'
}

function compareSince(a = Infinity, b = Infinity): number {
  return a === b ? 0 : a - b
}
