import type { PoolConfig } from '../config/pool.ts'
import { customResourceGroup, customResourceVersion } from '../config/custom-resource.ts'
import { rawSpendCaps } from '../config/spend-caps.ts'
import { formatBytes, formatCpu } from '../model/quantity.ts'
import type { VirtualNodePool } from '../model/virtual-node-pool.ts'

/** The VirtualNodePool that says the same as a pool of the configuration file. */
export function poolObject(pool: PoolConfig): VirtualNodePool {
  const { capacity, sandbox, security, autoscale, budget } = pool
  const { cpuMillis, memoryBytes, ephemeralStorageBytes } = capacity
  return {
    apiVersion: `${customResourceGroup}/${customResourceVersion}`,
    kind: 'VirtualNodePool',
    metadata: { name: pool.name },
    spec: {
      replicas: pool.replicas,
      backend: pool.backend,
      capacity: {
        ...(cpuMillis !== undefined && { cpu: formatCpu(cpuMillis) }),
        ...(memoryBytes !== undefined && { memory: formatBytes(memoryBytes) }),
        ...(ephemeralStorageBytes !== undefined && { ephemeralStorage: formatBytes(ephemeralStorageBytes) }),
        pods: capacity.pods,
      },
      ...(Object.keys(pool.labels).length > 0 && { labels: pool.labels }),
      ...(pool.taints.length > 0 && { taints: pool.taints }),
      ...(sandbox.byDefault !== undefined && { sandboxHandler: sandbox.byDefault }),
      ...(Object.keys(sandbox.byClass).length > 0 && { runtimeClasses: sandbox.byClass }),
      ...(Object.values(security).some((names) => names.length > 0) && { security }),
      ...(pool.untainted && { untainted: true }),
      priceBook: pool.priceBook,
      ...(pool.purchase === 'spot' && { purchase: pool.purchase }),
      ...(pool.cordoned && { cordoned: true }),
      ...(pool.drained && { drained: true }),
      drainTimeoutSeconds: pool.drainTimeoutSeconds,
      ...(autoscale && { autoscale }),
      ...(budget && { budget: rawSpendCaps(budget) }),
    },
  }
}
