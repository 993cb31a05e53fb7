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

/** Where a Pod is; `unknown`: on no node, or on one that is not known here. */
export type PodPlace = 'virtual' | 'server' | 'unknown'

/** Who leaves first when a workload shrinks, as its policy has it. */
export type ScaleInOrder = 'VirtualFirst' | 'None'

/**
 * What is to be done about the deletion cost of a Pod; undefined: nothing. On a virtual node it gets ours. Ours goes again
 * where it is of no use or does harm: it was written as the Pod was let out, and a server that became free took it, or a
 * policy says now that nobody leaves first.
 */
export function costStep(pod: Pod, place: PodPlace, order: ScaleInOrder): 'set' | 'clear' | undefined {
  if (pod.metadata?.deletionTimestamp || isOver(pod)) return undefined
  if (order === 'VirtualFirst' && place === 'virtual') return mayCarryCost(pod) ? 'set' : undefined
  const isUnwanted = order === 'None' || place === 'server'
  return isUnwanted && hasOurCost(pod) ? 'clear' : undefined
}

/** Whether ours may be written into it: its kind honours one, and it has none, be it a user's or ours. */
export function mayCarryCost({ metadata }: Pod): boolean {
  const annotations = metadata?.annotations ?? {}
  // With our mark but without a value, somebody took ours away and means it.
  if (deletionCostAnnotation in annotations || deletionCostSetAnnotation in annotations) return false
  const owner = controllerOf({ metadata: metadata ?? {} })
  return owner !== undefined && honoursCost(owner.kind)
}

/** A value that was written over ours is its writer's. */
function hasOurCost({ metadata }: Pod): boolean {
  const { [deletionCostAnnotation]: cost, [deletionCostSetAnnotation]: ours } = metadata?.annotations ?? {}
  return cost !== undefined && cost === ours
}
