import type { Pod } from '../model/kubernetes.ts'
import { podRequests } from '../model/resources.ts'
import { isCritical } from './critical-pod.ts'
import { evictionOf } from './eviction.ts'
import { heldBy, missing, type Shortfall } from './node-room.ts'
import { qosClass, type QosClass } from './qos.ts'

/** kubelet's (pkg/kubelet/preemption). */
export const preemptionMessage = 'Preempted in order to admit critical pod'
export const preemptionCondition = 'Pod was preempted by Kubelet to accommodate a critical pod.'

export type Preemption =
  /** Who has to go; nobody when enough is coming free already. */
  | { readonly kind: 'possible'; readonly victims: readonly Pod[] }
  | { readonly kind: 'impossible'; readonly message: string }

interface Requirement {
  readonly resource: string
  readonly amount: bigint
}

/**
 * Which Pods make room for a critical one that finds none, by kubelet's rules (pkg/kubelet/preemption getPodsToPreempt):
 * as few as possible of the Guaranteed, then of the Burstable, then of the BestEffort, in each class those nearest to
 * what is missing, and of these the smaller. Unlike kubelet, which waits for those that it ends, this is asked again and
 * again: what leaves already counts as free.
 */
export function preempt(pod: Pod, others: readonly Pod[], short: readonly Shortfall[]): Preemption {
  const leaving = others.filter(isLeaving)
  const needed = short.map((one) => ({ resource: one.resource, amount: missing(one) }))
  const wanted = without(needed, leaving)
  const candidates = others.filter((other) => !isLeaving(other) && yields(other, pod))
  const ofClass = (qos: QosClass): readonly Pod[] => candidates.filter((one) => qosClass(one) === qos)
  const [burstable, bestEffort] = [ofClass('Burstable'), ofClass('BestEffort')]
  const left = without(wanted, candidates)
  if (left.length > 0) return { kind: 'impossible', message: impossible(left) }
  const first = nearest(ofClass('Guaranteed'), without(wanted, [...bestEffort, ...burstable]))
  const second = nearest(burstable, without(wanted, [...bestEffort, ...first]))
  const third = nearest(bestEffort, without(wanted, [...second, ...first]))
  return { kind: 'possible', victims: [...third, ...second, ...first] }
}

function isLeaving({ metadata, status }: Pod): boolean {
  return Boolean(metadata?.deletionTimestamp) || evictionOf(status) !== undefined
}

/** Who is not critical, or less so. */
function yields(other: Pod, pod: Pod): boolean {
  if (!isCritical(other)) return true
  return (other.spec?.priority ?? 0) < (pod.spec?.priority ?? 0)
}

function nearest(pods: readonly Pod[], requirements: readonly Requirement[]): readonly Pod[] {
  const [best] = [...pods].sort(
    (a, b) => distance(a, requirements) - distance(b, requirements) || smallerFirst(a, b),
  )
  if (requirements.length === 0 || !best) return []
  return [
    best,
    ...nearest(
      pods.filter((pod) => pod !== best),
      without(requirements, [best]),
    ),
  ]
}

/** By the share of each requirement that the Pod would leave open, so that all of them weigh the same. */
function distance(pod: Pod, requirements: readonly Requirement[]): number {
  return requirements.reduce((sum, requirement) => {
    const open = requirement.amount - heldBy(pod, requirement)
    return open > 0n ? sum + (Number(open) / Number(requirement.amount)) ** 2 : sum
  }, 0)
}

function smallerFirst(a: Pod, b: Pod): number {
  const [left, right] = [podRequests(a), podRequests(b)]
  return Number(left.memoryBytes - right.memoryBytes) || Number(left.cpuMillis - right.cpuMillis)
}

/** What is still missing when these Pods are gone. */
function without(requirements: readonly Requirement[], pods: readonly Pod[]): readonly Requirement[] {
  return requirements
    .map(({ resource, amount }) => ({
      resource,
      amount: pods.reduce((open, pod) => open - heldBy(pod, { resource }), amount),
    }))
    .filter(({ amount }) => amount > 0n)
}

function impossible(left: readonly Requirement[]): string {
  const list = left.map(({ resource, amount }) => `(res: ${resource}, q: ${amount}), `).join('')
  return (
    'Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to ' +
    `preempt: no set of running pods found to reclaim resources: [${list}]`
  )
}
