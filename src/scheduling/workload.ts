import { controllerOf } from '../model/controller-of.ts'
import type { Deployment, Pod, ReplicaSet } from '../model/kubernetes.ts'
import { isActive } from './removal-order.ts'

/** A ReplicaSet with its Pods, and the Deployment that it is one of. */
export interface Workload {
  readonly replicaSet: ReplicaSet
  /** What controls the ReplicaSet. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined
  /** Undefined also when its owner is another kind, or is not known (yet). */
  readonly deployment: Deployment | undefined
  /** Those that it counts: neither over nor on their way out. */
  readonly pods: readonly Pod[]
  /** Active Pods of all ReplicaSets of the same owner, these among them; none when it has no owner. */
  readonly related: readonly Pod[]
}

export interface WorkloadObjects {
  readonly pods: readonly Pod[]
  readonly replicaSets: readonly ReplicaSet[]
  readonly deployments: readonly Deployment[]
}

/** All ReplicaSets that have Pods, by their UID. */
export function workloadsOf({
  pods,
  replicaSets,
  deployments,
}: WorkloadObjects): ReadonlyMap<string, Workload> {
  const bySet = Map.groupBy(
    pods.filter((pod) => isActive(pod) && controllerOf(pod)?.kind === 'ReplicaSet'),
    (pod) => controllerOf(pod)?.uid ?? '',
  )
  const sets = replicaSets.filter(({ metadata }) => bySet.has(metadata?.uid ?? ''))
  const podsOf = (set: ReplicaSet): readonly Pod[] => bySet.get(set.metadata?.uid ?? '') ?? []
  const byOwner = Map.groupBy(sets, (set) => controllerOf(set)?.uid)
  const known = new Map(deployments.map((deployment) => [deployment.metadata?.uid, deployment]))
  return new Map(
    sets.map((replicaSet) => {
      const owner = controllerOf(replicaSet)
      const related = owner ? (byOwner.get(owner.uid) ?? []).flatMap(podsOf) : []
      const deployment = owner && known.get(owner.uid)
      return [
        replicaSet.metadata?.uid ?? '',
        { replicaSet, owner, deployment, pods: podsOf(replicaSet), related },
      ]
    }),
  )
}

/**
 * Why the workload is on its way to another size or template; undefined: it is what it is to be. What is in between gets
 * no twin: one Pod more or less than its controllers count on would have them remove, or refuse, another one.
 */
export function unsettled({ replicaSet, owner, deployment, pods }: Workload): string | undefined {
  const { spec, status, metadata } = replicaSet
  if (metadata?.deletionTimestamp) return 'its ReplicaSet is being deleted'
  if (status?.observedGeneration !== metadata?.generation) return 'its ReplicaSet has just been changed'
  if (status?.conditions?.some(({ type, status: is }) => type === 'ReplicaFailure' && is === 'True'))
    return 'its ReplicaSet cannot make all of its Pods'
  const size = spec?.replicas ?? 1
  if (pods.length !== size) return `its ReplicaSet has ${pods.length} Pods and is to have ${size}`
  if (owner?.kind !== 'Deployment') return undefined
  return deployment ? updating(deployment, size) : 'its Deployment is not known yet'
}

function updating({ spec, status, metadata }: Deployment, size: number): string | undefined {
  if (metadata?.deletionTimestamp) return 'its Deployment is being deleted'
  if (status?.observedGeneration !== metadata?.generation) return 'its Deployment has just been changed'
  const isWhole = spec?.replicas === size && status?.replicas === size && status.updatedReplicas === size
  return isWhole ? undefined : 'its Deployment is being updated'
}
