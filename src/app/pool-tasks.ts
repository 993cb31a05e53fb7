import type { PoolConfig } from '../config/pool.ts'
import type { Task } from '../control/tasks.ts'
import { byNode } from '../kube/cluster.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { nodeCapacity } from '../node/capacity.ts'
import { nodeObject } from '../node/node-object.ts'
import { thisPlace } from '../node/place.ts'
import { drainDeletedNodes } from '../pools/drain-deleted-nodes.ts'
import { runPools } from '../pools/run-pools.ts'
import { overflowPicture } from '../scheduling/overflow-picture.ts'
import { podsWaitingFor } from '../scheduling/waiting-pods.ts'
import { version } from '../model/version.ts'
import type { BackendStack } from './backend-stack.ts'
import type { BudgetDesk } from './budgets.ts'
import { clusterObjects } from './cluster-objects.ts'
import type { House } from './house.ts'
import { overflowRules } from './overflow-rules.ts'
import type { VirtualNodes } from './virtual-nodes.ts'

/** The pools, and the nodes that they ask for. */
export function poolTasks(
  house: House,
  stacks: readonly BackendStack[],
  virtualNodes: VirtualNodes,
  budgets: BudgetDesk,
): Record<string, Task> {
  const { config, world, cluster, events, pools } = house
  const podsOn = (node: string): readonly Pod[] => cluster.pods.byIndex(byNode, node)
  return {
    'virtual nodes': (inner) => virtualNodes.run(inner),
    'known pools': (inner) => pools.run(inner),
    pools: (inner) =>
      runPools(
        {
          pools,
          host: virtualNodes,
          api: cluster.api,
          nodes: cluster.nodes,
          pods: cluster.pods,
          podsOn,
          waitingFor: (pool) => waitingFor(house, stacks, pool),
          budgetOf: (pool) => budgets.pools.ofPool(pool),
          onBudget: (listener) => budgets.pools.subscribe(listener),
          events,
          instance: config.clusterName,
          ...world,
        },
        inner,
      ),
    'nodes deleted by force': (inner) =>
      drainDeletedNodes({ api: cluster.api, nodes: cluster.nodes, podsOn, ...world }, inner),
  }
}

function waitingFor(house: House, stacks: readonly BackendStack[], name: string): readonly Pod[] {
  const { pools, world } = house
  const rules = overflowRules(house, stacks)
  const pool = rules.pools.find((one) => one.name === name)
  const config = pools.get(name)?.config
  if (!pool || !config) return []
  const objects = clusterObjects(house)
  const nowWallMs = world.clock.wallMs()
  const picture = overflowPicture(objects, { refused: [], rules, nowWallMs })
  const node = oneMore(house, stacks, config)
  if (!node) return []
  return podsWaitingFor({ pods: objects.pods, picture, rules, pool, node, nowWallMs })
}

/** A node as the pool would get one more, once that is ready: before, it takes nobody. */
function oneMore(
  { cluster, config }: House,
  stacks: readonly BackendStack[],
  pool: PoolConfig,
): Node | undefined {
  const stack = stacks.find(({ name }) => name === pool.backend)
  if (!stack) return undefined
  const input = {
    pool,
    use: { retiring: false, inUse: false },
    ordinal: 0,
    capacity: nodeCapacity(pool, stack.capacity, 1),
    place: thisPlace({ address: config.nodeApi.address, port: 0 }),
    versions: { server: cluster.serverVersion, spillway: version, runtime: '' },
    capabilities: stack.backend.capabilities(),
  }
  return nodeObject(input, [{ type: 'Ready', status: 'True' }])
}
