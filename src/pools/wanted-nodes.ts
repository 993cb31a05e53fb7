import type { PoolAutoscale } from '../config/pool.ts'
import type { Resources } from '../model/resources.ts'

/** What is held and what there is, over all nodes of a pool that stay. */
export interface PoolLoad {
  /** Nodes that stay. */
  readonly nodes: number
  /** Of one node. */
  readonly nodeCapacity: { readonly cpuMillis: bigint; readonly memoryBytes: bigint; readonly pods: number }
  /** Requests of the Pods there, and of those that wait for room there. */
  readonly requested: Pick<Resources, 'cpuMillis' | 'memoryBytes'> & { readonly pods: number }
  /** Nodes that have been empty for at least `idleSeconds`. */
  readonly idleNodes: number
}

/**
 * How many nodes an autoscaled pool is to have. It grows at once to what is requested and its spare room; it shrinks by
 * nodes that have long been empty, and only while the rest keeps that room: so a load on the edge does not flap.
 */
export function wantedNodes(autoscale: PoolAutoscale, load: PoolLoad): number {
  const { nodes, idleNodes } = load
  const needed = neededNodes(load, autoscale.sparePercent)
  const wanted = needed >= nodes ? needed : Math.max(needed, nodes - idleNodes)
  return Math.min(Math.max(wanted, autoscale.minNodes), autoscale.maxNodes)
}

/** The fewest nodes that hold what is requested and that percentage of one node besides. */
function neededNodes({ nodeCapacity, requested }: PoolLoad, sparePercent: number): number {
  const needed = [
    share(requested.cpuMillis, nodeCapacity.cpuMillis, sparePercent),
    share(requested.memoryBytes, nodeCapacity.memoryBytes, sparePercent),
    share(BigInt(requested.pods), BigInt(nodeCapacity.pods), sparePercent),
  ]
  return Math.max(...needed)
}

/** Rounded up. A node that offers nothing of it does not grow the pool. */
function share(requested: bigint, perNode: bigint, sparePercent: number): number {
  if (perNode <= 0n) return 0
  const hundredths = requested * 100n + perNode * BigInt(sparePercent)
  return Number((hundredths + perNode * 100n - 1n) / (perNode * 100n))
}
