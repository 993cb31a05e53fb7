import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import { labelsMatch } from '../lifecycle/label-selector.ts'
import { kubeTime } from '../model/clock.ts'
import type { Container, Namespace, Node, Pod, ReplicaSet } from '../model/kubernetes.ts'
import { virtualNodeTaintKey } from '../model/words.ts'
import { compareRemoval, crowdsOf, isReady } from './removal-order.ts'
import { droppedKeys, labelsOutside } from './twin.ts'
import { eligibility } from './unschedulable.ts'
import type { Workload } from './workload.ts'

export interface MovableContext {
  readonly workload: Workload | undefined
  /** All ReplicaSets of the Pod's namespace. */
  readonly neighbours: readonly ReplicaSet[]
  /** Where the Pod is. */
  readonly node: Node | undefined
  /** Whether a Pod is on a virtual node. */
  readonly isVirtual: (pod: Pod) => boolean
  readonly namespace: Namespace | undefined
  /** Of Pods on servers; undefined: none is there. */
  readonly lowestServerPriority: number | undefined
  readonly nowWallMs: number
}

/** Why a Pod on a virtual node is never moved back as things stand, a sentence for people; undefined: it may be. */
export function whyNotMovable(pod: Pod, context: MovableContext): string | undefined {
  const { workload } = context
  if (!workload) return 'only Pods of ReplicaSets and Deployments are moved back'
  return (
    notSentOut(pod, workload, context) ??
    noSurge(workload) ??
    notTwice(pod) ??
    cannotBeApart(workload, context) ??
    mightPreempt(pod, context) ??
    anotherWouldLeave(pod, workload, context)
  )
}

/** Overflow's toleration is on the Pod alone: a template that brings its own was meant for virtual nodes. */
function notSentOut(
  pod: Pod,
  { replicaSet }: Workload,
  { node, namespace }: MovableContext,
): string | undefined {
  const eligible = eligibility(pod, namespace)
  if (eligible.kind === 'never') return eligible.because
  if (eligible.placement === 'virtual') return eligible.because
  const { template } = replicaSet.spec ?? {}
  const ours = (node ? untoleratedTaints({ spec: template?.spec ?? { containers: [] } }, node) : []).some(
    ({ key }) => key === virtualNodeTaintKey,
  )
  return ours ? undefined : 'its template lets it onto virtual nodes, so that overflow did not send it there'
}

/** A twin is one Pod more for a while: only where its people allow that. */
function noSurge({ owner, deployment }: Workload): string | undefined {
  if (!owner) return undefined
  if (owner.kind !== 'Deployment')
    return `its ReplicaSet is a ${owner.kind}’s, whose rules are not known here`
  const { type, rollingUpdate } = deployment?.spec?.strategy ?? {}
  if (type === 'Recreate')
    return 'its Deployment’s strategy is Recreate: one Pod more at a time is not wanted'
  const surge = rollingUpdate?.maxSurge
  const isNone = surge !== undefined && Number(String(surge).replace('%', '')) === 0
  return isNone ? 'its Deployment’s maxSurge is 0: one Pod more at a time is not wanted' : undefined
}

/** What two Pods cannot have at once. */
function notTwice({ spec }: Pod): string | undefined {
  const claim = spec?.volumes?.find(
    ({ persistentVolumeClaim }) => persistentVolumeClaim,
  )?.persistentVolumeClaim
  if (claim) return `its volume claim ${claim.claimName} would be in two Pods at once`
  const { resourceClaims = [] } = (spec ?? {}) as { resourceClaims?: readonly { name: string }[] }
  return resourceClaims[0] && `its resource claim ${resourceClaims[0].name} would be in two Pods at once`
}

/** The twin has to stay out of every selector until it is its ReplicaSet's. */
function cannotBeApart({ replicaSet }: Workload, { neighbours }: MovableContext): string | undefined {
  const labels = labelsOutside(replicaSet)
  if (!labels) return 'its ReplicaSet’s selector also takes Pods that lack all of its labels'
  const other = neighbours.find(({ spec }) => labelsMatch(spec?.selector, labels))
  if (other) return `ReplicaSet ${other.metadata?.name} would take a twin of it for its own`
  const { containers = [], initContainers = [] } = replicaSet.spec?.template?.spec ?? {}
  const read = droppedKeys(replicaSet).find((key) =>
    [...containers, ...initContainers].some((container) => readsLabel(container, key)),
  )
  return read && `it reads its label ${read} at its start, which a twin does not have yet`
}

function readsLabel({ env = [] }: Container, key: string): boolean {
  return env.some(({ valueFrom }) => valueFrom?.fieldRef?.fieldPath === `metadata.labels['${key}']`)
}

function mightPreempt({ spec }: Pod, { lowestServerPriority }: MovableContext): string | undefined {
  const priority = spec?.priority ?? 0
  if (spec?.preemptionPolicy === 'Never' || lowestServerPriority === undefined) return undefined
  return priority > lowestServerPriority
    ? `its priority ${priority} could put Pods of priority ${lowestServerPriority} out of their servers`
    : undefined
}

/** By upstream's order, were a twin of it there. That it is not ready itself passes, and moves nobody before it in that order. */
function anotherWouldLeave(
  pod: Pod,
  workload: Workload,
  { isVirtual, nowWallMs }: MovableContext,
): string | undefined {
  const ready = workload.pods.map((one) => (one === pod ? asIfReady(pod, nowWallMs) : one))
  const first = nextToLeave({ ...workload, pods: ready }, nowWallMs)
  if (isVirtual(first)) return undefined
  const { rule } = compareRemoval(first, pod, { crowds: crowdsOf(workload.related), nowWallMs })
  return `its ReplicaSet would remove ${first.metadata?.name} first (${rule ?? 'held equal'})`
}

function asIfReady(pod: Pod, nowWallMs: number): Pod {
  return isReady(pod) ? pod : { ...pod, status: { ...pod.status, ...readyStatus(nowWallMs) } }
}

function readyStatus(nowWallMs: number): NonNullable<Pod['status']> {
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: kubeTime(nowWallMs) }
  return { phase: 'Running', conditions: [ready] }
}

/** Whom the ReplicaSet would remove if a twin that is as ready as can be became one of its Pods now. */
export function nextToLeave(workload: Workload, nowWallMs: number): Pod {
  const { metadata = {} } = workload.replicaSet.spec?.template ?? {}
  const twin: Pod = {
    metadata: { ...metadata, name: 'a twin of it', creationTimestamp: kubeTime(nowWallMs) },
    spec: { containers: [], nodeName: 'some server' },
    status: readyStatus(nowWallMs),
  }
  // Those that are not ready go before all others. That passes, and is looked at again before the twin is handed over.
  return firstToLeave({ ...workload, pods: workload.pods.filter(isReady) }, twin, nowWallMs)
}

/** Whom the ReplicaSet removes once the twin is one of its Pods. */
export function firstToLeave({ pods, related }: Workload, twin: Pod, nowWallMs: number): Pod {
  const moment = { crowds: crowdsOf(related.length === 0 ? [] : [...related, twin]), nowWallMs }
  return pods.reduce((first, pod) => (compareRemoval(pod, first, moment).order < 0 ? pod : first), twin)
}
