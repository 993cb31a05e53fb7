import type { Node, Pod } from '../../model/kubernetes.ts'
import { workloadOf } from '../../model/usage.ts'
import { virtualNodeTaintKey } from '../../model/words.ts'
import { isServer, poolOf } from '../cluster-picture.ts'

/** Where the Pods of one workload are. */
export interface WorkloadCount {
  /** On virtual nodes, or allowed to go there and not bound yet. */
  readonly virtual: number
  /** Bound to servers, and not on their way out. */
  readonly server: number
}

export const noCount: WorkloadCount = { virtual: 0, server: 0 }

/** As in `shop/Deployment/web`. A Deployment's ReplicaSets are one workload; a Pod that nobody made is one of its own. */
export function workloadKey(pod: Pod): string {
  const { kind, name } = workloadOf(pod)
  return `${pod.metadata?.namespace}/${kind}/${name}`
}

/**
 * Whether the Pod may go to virtual nodes without our leave, or has had it. Tolerations are never taken away from a Pod
 * that is there, so no policy can hold it any more.
 */
export function toleratesVirtualNodes({ spec }: Pod): boolean {
  return (spec?.tolerations ?? []).some(
    ({ key, operator, effect }) =>
      (key === virtualNodeTaintKey || (!key && operator === 'Exists')) &&
      (!effect || effect === 'NoSchedule'),
  )
}

/** Whether it may go to the nodes of that pool. */
export function toleratesPool({ spec }: Pod, pool: string): boolean {
  return (spec?.tolerations ?? []).some(
    ({ key, operator, value, effect }) =>
      (key === virtualNodeTaintKey || !key) &&
      (operator === 'Exists' || value === pool) &&
      (!effect || effect === 'NoSchedule'),
  )
}

/** Whether a toleration of its is for that pool alone, as the one that lets it out is. */
export function namesPool({ spec }: Pod, pool: string): boolean {
  return (spec?.tolerations ?? []).some(({ key, value }) => key === virtualNodeTaintKey && value === pool)
}

export interface NodeNames {
  readonly servers: ReadonlySet<string>
  readonly virtualNodes: ReadonlySet<string>
}

export function nodeNames(nodes: readonly Node[]): NodeNames {
  const servers = new Set<string>()
  const virtualNodes = new Set<string>()
  for (const node of nodes) {
    const name = node.metadata?.name ?? ''
    if (poolOf(node) !== undefined) virtualNodes.add(name)
    else if (isServer(node)) servers.add(name)
  }
  return { servers, virtualNodes }
}

export type PodPlace = 'virtual' | 'server' | 'elsewhere'

/** Where a Pod that is not over counts; a terminating one holds its place on a virtual node until it is gone. */
export function placeOf(pod: Pod, { servers, virtualNodes }: NodeNames): PodPlace {
  const node = pod.spec?.nodeName
  if (!node) return toleratesVirtualNodes(pod) ? 'virtual' : 'elsewhere'
  if (virtualNodes.has(node)) return 'virtual'
  if (servers.has(node)) return pod.metadata?.deletionTimestamp ? 'elsewhere' : 'server'
  // Its Node object is gone for the moment, or is not here yet.
  return toleratesVirtualNodes(pod) ? 'virtual' : 'elsewhere'
}

export function counted(count: WorkloadCount, place: PodPlace): WorkloadCount {
  if (place === 'elsewhere') return count
  return { ...count, [place]: count[place] + 1 }
}
