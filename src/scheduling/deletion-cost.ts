import { controllerOf } from '../model/controller-of.ts'
import type { Pod } from '../model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../model/words.ts'
import { isOver } from './cluster-picture.ts'

/**
 * Kinds whose controller removes the Pod of the lowest deletion cost first (pkg/controller ActivePodsWithRanks). A
 * StatefulSet goes by ordinal and a Job by age: an annotation there would promise what nobody keeps.
 */
const kindsThatHonourCost = ['ReplicaSet', 'ReplicationController']

/** Whether the controllers of this kind look at the deletion cost. */
export function honoursCost(kind: string): boolean {
  return kindsThatHonourCost.includes(kind)
}

/**
 * Whether the Pod should get our deletion cost: bound to a virtual node, of a kind that honours it, and without a
 * value, be it a user's or ours.
 */
export function wantsDeletionCost(pod: Pod, virtualNodes: ReadonlySet<string>): boolean {
  const { metadata, spec } = pod
  if (!spec?.nodeName || !virtualNodes.has(spec.nodeName)) return false
  if (metadata?.deletionTimestamp || isOver(pod)) return false
  const annotations = metadata?.annotations ?? {}
  // With our mark but without a value, somebody took ours away and means it.
  if (deletionCostAnnotation in annotations || deletionCostSetAnnotation in annotations) return false
  const owner = controllerOf(pod)
  return owner !== undefined && honoursCost(owner.kind)
}
