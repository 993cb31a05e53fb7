import type { Config } from '../config/load.ts'
import type { PoolConfig } from '../config/pool.ts'
import { virtualNodeName } from '../node/node-object.ts'
import type { MeteredNode } from '../pods/meter.ts'

/** The virtual nodes of a pool, by ordinal. */
export function nodeNames({ name, replicas }: PoolConfig): string[] {
  return Array.from({ length: replicas }, (_, ordinal) => virtualNodeName(name, ordinal))
}

/** A node's place among all nodes of this configuration: its port is counted from it. */
export function nodeIndex({ pools }: Config, name: string): number {
  return pools.flatMap(nodeNames).indexOf(name)
}

/** Where usage on a node is booked. */
export function metered(pool: PoolConfig | undefined, node: string): MeteredNode {
  return { pool: pool?.name ?? '', node, priceBook: pool?.priceBook ?? 'tencent-eks-intl-2023-06-30' }
}
