import { defaultPriceBook } from '../config/pool.ts'
import { poolOfNodeName } from '../model/virtual-node-name.ts'
import type { MeteredNode } from '../pods/meter.ts'
import type { KnownPools } from '../pools/known-pools.ts'

/** Where usage on a node is booked from now on. The name tells the pool, also once that is gone. */
export function meteredNode(pools: KnownPools, node: string): MeteredNode {
  const pool = poolOfNodeName(node)
  const { priceBook = defaultPriceBook, purchase = 'on-demand' } = pools.get(pool)?.config ?? {}
  return { pool, node, priceBook, purchase }
}
