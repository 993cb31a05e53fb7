import type { BackendCapacity } from '../backends/backend.ts'
import type { PoolConfig } from '../config/pool.ts'
import type { NodeCapacity } from './node-object.ts'

/**
 * What each node of a pool offers: what the pool says, and for the rest the backend's capacity split evenly over all
 * nodes that stand on it. A pool may promise more than there is; then the operator has said so.
 */
export function nodeCapacity(
  pool: PoolConfig,
  backend: BackendCapacity,
  nodesOnBackend: number,
): NodeCapacity {
  const share = (total: bigint): bigint => total / BigInt(Math.max(nodesOnBackend, 1))
  const { cpuMillis, memoryBytes, ephemeralStorageBytes, pods } = pool.capacity
  return {
    cpuMillis: cpuMillis ?? share(backend.cpuMillis),
    memoryBytes: memoryBytes ?? share(backend.memoryBytes),
    ephemeralStorageBytes: ephemeralStorageBytes ?? share(backend.ephemeralStorageBytes),
    // Whole units each, so that no node promises a part of a card.
    extended: new Map([...(backend.extended ?? [])].map(([name, total]) => [name, share(total)])),
    pods: Math.min(pods, Math.max(Math.floor(backend.pods / Math.max(nodesOnBackend, 1)), 1)),
  }
}
