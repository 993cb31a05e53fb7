import type { Task } from '../control/tasks.ts'
import { handlerRefusal, refusalSentence, unsupportedUses } from '../lifecycle/unsupported.ts'
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
    const backend = stacks.find(({ name }) => name === pool.backend)?.backend
    return {
      name: pool.name,
      refuses: (pod: Pod) => {
        const capabilities = backend?.capabilities()
        if (!capabilities) return `backend ${pool.backend} is not there`
        const [missing] = unsupportedUses(pod, capabilities)
        if (missing) return refusalSentence(missing, capabilities)
        const runtimeClass = cluster.runtimeClasses.get({ name: pod.spec?.runtimeClassName ?? '' })
        return runtimeClass && handlerRefusal(runtimeClass, capabilities)
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
