import { SpendReader } from '../billing/spend-reader.ts'
import { defaultBackoff, jitteredBackoff } from '../control/backoff.ts'
import type { Task } from '../control/tasks.ts'
import { drainPods } from '../pools/drain-pods.ts'
import { namespaceBudget } from '../scheduling/burst/namespace-budget.ts'
import { toleratesVirtualNodes } from '../scheduling/burst/workload-counts.ts'
import { poolOf } from '../scheduling/cluster-picture.ts'
import { keepPolicies } from '../scheduling/burst/keep-policies.ts'
import { LiveBursts } from '../scheduling/burst/live-bursts.ts'
import type { Pod } from '../model/kubernetes.ts'
import { selectedOf } from '../scheduling/burst/accounts.ts'
import { selects, type BurstPolicy } from '../scheduling/burst/burst-policy.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'
import { overflowRules } from './overflow-rules.ts'

/** The burst policies of the cluster, with the ledger's word on what was spent. */
export function liveBursts({
  world,
  cluster,
  ledger,
  pools,
}: Pick<House, 'world' | 'cluster' | 'ledger' | 'pools'>): LiveBursts {
  const { api, pods, nodes, namespaces } = cluster
  const { clock, log, random } = world
  const reader = new SpendReader(ledger, clock)
  const hasBudgets = (): boolean =>
    pools.configs().some(({ budget }) => budget) || namespaces.list().some((home) => namespaceBudget(home))
  return new LiveBursts({
    api,
    readSpend: (signal) => reader.read(signal),
    hasBudgets,
    pods,
    isOut: (pod) => {
      const node = pod.spec?.nodeName && nodes.get({ name: pod.spec.nodeName })
      return node ? poolOf(node) !== undefined : Boolean(pod.spec?.nodeName) && toleratesVirtualNodes(pod)
    },
    clock,
    backoff: jitteredBackoff(defaultBackoff, random),
    log,
  })
}

/** Follows the policies, and tells people what becomes of them. */
export function burstTasks(house: House, stacks: readonly BackendStack[]): Record<string, Task> {
  const { cluster, bursts, events, world } = house
  const { api, pods, nodes, namespaces } = cluster
  return {
    'burst policies': (inner) => bursts.run(inner),
    'status of burst policies': (inner) =>
      keepPolicies(
        {
          api,
          bursts,
          pods,
          nodes,
          namespaces,
          pools: () => overflowRules(house, stacks).pools,
          evict: (victims, signal) => drainPods({ api, pods: victims, by: 'eviction' }, signal),
          events,
          ...world,
        },
        inner,
      ),
  }
}

/** The policy that says how the Pod goes; undefined also while they are not known. */
export function policyOf({ bursts, cluster }: House, pod: Pod): BurstPolicy | undefined {
  const home = cluster.namespaces.get({ name: pod.metadata?.namespace ?? '' })
  return bursts.facts().policies?.find((policy) => selects(policy, selectedOf(pod), home))
}
