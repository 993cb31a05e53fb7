/** The words of ours that objects in the API carry, in one place because people type them and several rooms read them. */

/** Taint key of every virtual node, and key of the toleration that lets a Pod onto one; the value is the pool. */
export const virtualNodeTaintKey = 'spillway.dev/virtual-node'

/** Taint (NoSchedule) on a virtual node whose backend does not answer: nothing new comes. */
export const backendUnavailableTaintKey = 'spillway.dev/backend-unavailable'

/** Taint (NoSchedule) on a virtual node that has nothing to make sandboxes by: nothing new comes. */
export const noSandboxTaintKey = 'spillway.dev/no-sandbox-handler'
/** Taint (NoSchedule) on every virtual node while the ledger cannot be written or is damaged: nothing new comes. */
export const ledgerUnavailableTaintKey = 'spillway.dev/ledger-unavailable'

/** Node label: the pool that the virtual node belongs to. */
export const poolLabel = 'spillway.dev/pool'

/** Label of a Pod or a namespace; the Pod's wins. */
export const placementLabel = 'spillway.dev/placement'

/**
 * - `auto`: a server if one has room, else a virtual node
 * - `virtual`: a virtual node; without the admission policy or webhook as soon as the scheduler has once found no server
 * - `server`: never a virtual node
 */
export const placements = ['auto', 'virtual', 'server'] as const
export type Placement = (typeof placements)[number]

export function isPlacement(text: string): text is Placement {
  return (placements as readonly string[]).includes(text)
}

/** Names of the MutatingAdmissionPolicies that keep Pods of burst policies that say Always off servers (deploy/admission/burst-policies.yaml). */
export const alwaysPolicyNames = [
  'burst-policies.spillway.dev',
  'cluster-burst-policies.spillway.dev',
] as const

/** Annotation of a Pod, `on-demand` or `spot`: by which prices it is billed, where its price book has both. */
export const purchaseAnnotation = 'spillway.dev/purchase'

/** Name of the MutatingAdmissionPolicy that sends Pods of placement `virtual` out from the start (deploy/admission/placement.yaml). */
export const placementPolicyName = 'placement.spillway.dev'

/** Name of the MutatingAdmissionPolicy that keeps DaemonSets off virtual nodes (deploy/admission/daemonsets.yaml). */
export const daemonSetPolicyName = 'daemonsets.spillway.dev'

/** Name of the ValidatingAdmissionPolicy that keeps pools and nodes with Pods from being deleted (deploy/admission/deletions.yaml). */
export const deletionPolicyName = 'deletions.spillway.dev'

/** Name of the MutatingWebhookConfiguration that our webhooks stand in where the API server has no such policies (deploy/admission-webhook.yaml). */
export const webhookConfigurationName = 'spillway.dev'

/** Their Pods belong to the servers: what kube-system runs serves the nodes themselves. */
export const serverOnlyNamespaces: readonly string[] = ['kube-system', 'kube-node-lease', 'kube-public']

/** Value of the node label `type`, by which add-ons keep off nodes that no kubelet runs. */
export const virtualNodeType = 'virtual-kubelet'

/** Value of `node.kubernetes.io/instance-type`. */
export const virtualInstanceType = 'spillway'

/** Pod annotation: the deletion cost that we set, so that a value of a user's is told from ours. */
export const deletionCostSetAnnotation = 'spillway.dev/deletion-cost-set'

/** Kubernetes' own (KEP-2255). */
export const deletionCostAnnotation = 'controller.kubernetes.io/pod-deletion-cost'

/**
 * Label of a twin that is to take the place of a Pod on a virtual node: the UID of that Pod. Gone once its ReplicaSet may
 * have it.
 */
export const twinLabel = 'spillway.dev/twin-of'

/** Annotation of a Pod that was a twin: the name of the Pod whose place it took. */
export const movedBackAnnotation = 'spillway.dev/moved-back-from'

/** Annotation of a Pod on a virtual node: not moved back before that time (RFC 3339), since it was tried in vain. */
export const moveBackAfterAnnotation = 'spillway.dev/move-back-after'

/** Annotation of a Pod on a virtual node: how often it was to be moved back in vain. */
export const moveBackTriesAnnotation = 'spillway.dev/move-back-tries'

/** Node annotation: keys of the labels and taints that we put there, so that what a pool drops goes away again. */
export const appliedAnnotation = 'spillway.dev/applied'

/** Node annotation: the node is on its way out of its pool. Read back after a restart. */
export const retiringAnnotation = 'spillway.dev/retiring'

/** Node annotation, `true` or `false`: whether Pods are there that have not ended. The admission policy of deletions reads it. */
export const inUseAnnotation = 'spillway.dev/in-use'

/** Annotation of a VirtualNodePool or a virtual Node: it may be deleted although Pods run there. */
export const forceDeleteAnnotation = 'spillway.dev/force-delete'

/** Finalizer of a VirtualNodePool: its nodes go before it does. */
export const poolFinalizer = 'spillway.dev/nodes'

/** Node condition: whether the backend answers. */
export const backendReadyCondition = 'spillway.dev/BackendReady'

/** Node condition: there is a handler for the sandboxes of Pods that name none; its message says which. */
export const sandboxReadyCondition = 'spillway.dev/SandboxReady'
/** Node condition: whether the ledger can be written, and is what was written. */
export const ledgerReadyCondition = 'spillway.dev/LedgerReady'

/** Node condition: whether the budget of its pool has room. */
export const withinBudgetCondition = 'spillway.dev/WithinBudget'

/** Namespace annotations: what its Pods may cost on virtual nodes, as in `10.50 USD`; and what happens then. */
export const budgetAnnotations = {
  hour: 'spillway.dev/budget-per-hour',
  day: 'spillway.dev/budget-per-day',
  month: 'spillway.dev/budget-per-month',
  warnAtPercent: 'spillway.dev/budget-warn-at-percent',
  atCap: 'spillway.dev/budget-at-cap',
} as const

/** Pod annotation: the size that it is billed at, as in `2 cores, 4 GiB`. */
export const specAnnotation = 'spillway.dev/spec'

/** Pod annotation: what it costs an hour while it runs, as in `0.0512 USD`. */
export const pricePerHourAnnotation = 'spillway.dev/price-per-hour'

/** Pod annotation, once it has ended: all that it has cost, as on the bill. */
export const costAnnotation = 'spillway.dev/cost'
