import { controllerOf } from '../model/controller-of.ts'
import type { Namespace, Pod } from '../model/kubernetes.ts'
import { serverOnlyNamespaces } from '../model/words.ts'
import { saidPlacement } from './said-placement.ts'

export type Candidacy =
  | {
      readonly kind: 'candidate'
      readonly placement: 'auto' | 'virtual'
      /** Whether the Pod or its namespace says so, in our words or another product's: it counts before every burst policy. */
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
  const said = saidPlacement(pod, namespace)
  if (!said) return { kind: 'candidate', placement: 'auto', labelled: false, because: 'nothing keeps it in' }
  // What cannot be read is kept in: sending a Pod out is the step that costs money.
  if (said.kind === 'unreadable' || said.placement === 'server') return never(said.because)
  return { kind: 'candidate', placement: said.placement, labelled: true, because: said.because }
}

function never(because: string): Extract<Candidacy, { readonly kind: 'never' }> {
  return { kind: 'never', because }
}
