import type { Node, Pod } from '../model/kubernetes.ts'
import { parseResources } from '../model/resources.ts'
import type { ClusterPicture } from './cluster-picture.ts'
import { decideOverflow, type OverflowPool, type OverflowRules } from './decide-overflow.ts'
import { isUnschedulable } from './unschedulable.ts'

export interface WaitingPodsQuestion {
  readonly pods: readonly Pod[]
  readonly picture: ClusterPicture
  readonly rules: Omit<OverflowRules, 'pools'>
  readonly pool: OverflowPool
  /** A node as the pool would get one more, empty. */
  readonly node: Node
  readonly nowWallMs: number
}

/** Pods that find no room, and that would be let onto one more node of the pool: what autoscaling is for. */
export function podsWaitingFor(question: WaitingPodsQuestion): readonly Pod[] {
  const { pods, picture, rules, pool, node, nowWallMs } = question
  const allocatable = node.status?.allocatable ?? {}
  const room = {
    node,
    name: node.metadata?.name ?? '',
    free: parseResources(allocatable),
    freePods: Number(allocatable['pods'] ?? 0),
    portsTaken: [],
    nominated: [],
    keepOff: (pod: Pod) => picture.volumes?.keepOff(pod, node),
  }
  const asIf = { ...picture, virtualNodes: new Map([[pool.name, [room]]]) }
  return pods.filter((pod) => {
    if (!isUnschedulable(pod)) return false
    const moment = { nowWallMs, nominatedSinceMs: undefined }
    const decision = decideOverflow(pod, asIf, { ...rules, pools: [pool] }, moment)
    return decision.kind === 'send' || (decision.kind === 'wait' && decision.pool === pool.name)
  })
}
