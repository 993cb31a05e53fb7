import type { Task } from '../control/tasks.ts'
import { tellMissedPlacements } from '../scheduling/missed-placement.ts'
import type { Pod } from '../model/kubernetes.ts'
import { alwaysPolicyOf } from '../scheduling/burst/at-creation.ts'
import type { ScaleInOrder } from '../scheduling/deletion-cost.ts'
import { runOverflow } from '../scheduling/overflow.ts'
import { runScaleIn } from '../scheduling/scale-in.ts'
import { tellForeignSpellings } from '../scheduling/tell-foreign-spelling.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'
import { moveBackTasks } from './move-back-tasks.ts'
import { policyOf } from './burst-policies.ts'
import { overflowRules } from './overflow-rules.ts'

/** Overflow, scale-in and moving back over all pools, as far as the configuration does not turn them off. */
export function schedulingTasks(house: House, stacks: readonly BackendStack[]): Record<string, Task> {
  const { config, world, cluster, events, pools, bursts, volumes } = house
  // Who lets nothing out any more may still want back what is out there.
  if (!config.overflow.enabled) return moveBackTasks(house)
  const { api, pods: allPods, nodes: allNodes, namespaces: allNamespaces, services: allServices } = cluster
  const orderOf = (pod: Pod): ScaleInOrder | undefined =>
    bursts.awaited ? undefined : (policyOf(house, pod)?.spec.scaleIn ?? 'VirtualFirst')
  const cost = config.overflow.deletionCost
  return {
    volumes: (inner) => volumes.run(inner),
    overflow: (inner) =>
      runOverflow(
        {
          api,
          pods: allPods,
          nodes: allNodes,
          namespaces: allNamespaces,
          services: allServices,
          rules: () => overflowRules(house, stacks),
          onRules: (listener) => {
            const ends = [pools.subscribe(listener), bursts.subscribe(listener)]
            return () => ends.forEach((end) => end())
          },
          volumes,
          deletionCost: (pod) => (orderOf(pod) === 'VirtualFirst' ? cost : undefined),
          events,
          ...world,
        },
        inner,
      ),
    ...tellingTasks(house),
    'scale-in': (inner) =>
      runScaleIn(
        {
          api,
          pods: allPods,
          nodes: allNodes,
          cost,
          orderOf,
          onOrder: (listener) => bursts.subscribe(listener),
          ...world,
        },
        inner,
      ),
    ...moveBackTasks(house),
  }
}

/** What people are told of Pods, whether or not anything is done about it. */
function tellingTasks({ cluster, bursts, events, world }: House): Record<string, Task> {
  const { pods, nodes, namespaces } = cluster
  return {
    'missed placements': (inner) =>
      tellMissedPlacements(
        {
          pods,
          nodes,
          namespaces,
          alwaysPolicyOf: (pod) => {
            const home = namespaces.get({ name: pod.metadata?.namespace ?? '' })
            return alwaysPolicyOf(pod, home, bursts.facts().policies ?? [])
          },
          events,
          clock: world.clock,
        },
        inner,
      ),
    'foreign spellings': (inner) => tellForeignSpellings({ pods, namespaces, events }, inner),
  }
}
