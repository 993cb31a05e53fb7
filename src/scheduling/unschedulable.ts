import { controllerOf } from '../model/controller-of.ts'
import type { Namespace, Pod } from '../model/kubernetes.ts'
import { isPlacement, placementLabel, placements, serverOnlyNamespaces } from '../model/words.ts'

export type Candidacy =
  | {
      readonly kind: 'candidate'
      readonly placement: 'auto' | 'virtual'
      /** Whether a label says so: it counts before every burst policy. */
      readonly labelled: boolean
      readonly because: string
    }
  /** Nothing for overflow to decide: scheduled, not refused by the scheduler yet, or on its way out. */
  | { readonly kind: 'none' }
  /** Refused by the scheduler, and never to be let out as things stand. */
  | { readonly kind: 'never'; readonly because: string }

/**
 * Whether the scheduler has looked at the Pod and found no node. Gates need no check of their own: a gated Pod's
 * reason is `SchedulingGated`; they are checked all the same, for a condition that is older than the gate's removal.
 */
export function isUnschedulable(pod: Pod): boolean {
  const { spec, status, metadata } = pod
  if (spec?.nodeName || metadata?.deletionTimestamp || (spec?.schedulingGates ?? []).length > 0) return false
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return false
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  return scheduled?.status === 'False' && scheduled.reason === 'Unschedulable'
}

/** Which Pods overflow looks at, from the Pod and its namespace alone. */
export function candidacy(pod: Pod, namespace: Namespace | undefined): Candidacy {
  return isUnschedulable(pod) ? eligibility(pod, namespace) : { kind: 'none' }
}

/** Whether the Pod may go at all, and what its placement is, whatever the scheduler says. */
export function eligibility(
  pod: Pod,
  namespace: Namespace | undefined,
): Exclude<Candidacy, { readonly kind: 'none' }> {
  const owner = controllerOf(pod)
  if (owner?.kind === 'DaemonSet') return never('a DaemonSet’s Pod belongs to its own node')
  // Mirror Pods of static ones are bound by their kubelet; one without a node is broken, not waiting for room.
  if (owner?.kind === 'Node' || pod.metadata?.annotations?.['kubernetes.io/config.mirror']) {
    return never('a static Pod belongs to its own node')
  }
  const namespaceName = pod.metadata?.namespace ?? ''
  if (serverOnlyNamespaces.includes(namespaceName)) return never(`Pods of ${namespaceName} stay on servers`)
  return byPlacement(pod, namespace)
}

function byPlacement(
  pod: Pod,
  namespace: Namespace | undefined,
): Exclude<Candidacy, { readonly kind: 'none' }> {
  const ofPod = pod.metadata?.labels?.[placementLabel]
  const ofNamespace = namespace?.metadata?.labels?.[placementLabel]
  const said = ofPod ?? ofNamespace ?? 'auto'
  const where = ofPod === undefined ? 'its namespace' : 'the Pod'
  // What cannot be read is kept in: sending a Pod out is the step that costs money.
  if (!isPlacement(said)) {
    return never(`label ${placementLabel} of ${where} is "${said}"; allowed: ${placements.join(', ')}`)
  }
  if (said === 'server') return never(`label ${placementLabel} of ${where} says server`)
  const labelled = (ofPod ?? ofNamespace) !== undefined
  const source = labelled ? `label ${placementLabel} of ${where} says ${said}` : 'nothing keeps it in'
  return { kind: 'candidate', placement: said, labelled, because: source }
}

function never(because: string): Extract<Candidacy, { readonly kind: 'never' }> {
  return { kind: 'never', because }
}
