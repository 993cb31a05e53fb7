import type { Task } from '../control/tasks.ts'
import { featuresOf } from '../lifecycle/features.ts'
import type { Pod } from '../model/kubernetes.ts'
import { defaultOverflowRules, runOverflow } from '../scheduling/overflow.ts'
import { runScaleIn } from '../scheduling/scale-in.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'

/** Overflow and scale-in over all pools; none when the configuration turns them off. */
export function schedulingTasks(house: House, stacks: readonly BackendStack[]): Record<string, Task> {
  const { config, world, cluster, events } = house
  if (!config.overflow.enabled) return {}
  const { api, pods: allPods, nodes: allNodes, namespaces: allNamespaces, services: allServices } = cluster
  const overflowPools = config.pools.map((pool) => {
    const features = stacks.find(({ name }) => name === pool.backend)?.backend.capabilities().features
    return {
      name: pool.name,
      refuses: (pod: Pod) => {
        const missing = featuresOf(pod).find(({ feature }) => !features?.has(feature))
        return (
          missing && `${missing.field} needs ${missing.feature}, which backend ${pool.backend} does not offer`
        )
      },
    }
  })
  const rules = { ...defaultOverflowRules, pools: overflowPools }
  return {
    overflow: (inner) =>
      runOverflow(
        {
          api,
          pods: allPods,
          nodes: allNodes,
          namespaces: allNamespaces,
          services: allServices,
          rules,
          events,
          ...world,
        },
        inner,
      ),
    'scale-in': (inner) =>
      runScaleIn(
        { api, pods: allPods, nodes: allNodes, cost: config.overflow.deletionCost, ...world },
        inner,
      ),
  }
}
