import type { Task } from '../control/tasks.ts'
import { customResourceGroup, customResourceVersion } from '../config/custom-resource.ts'
import type { BudgetRefused } from '../lifecycle/admission.ts'
import type { Pod } from '../model/kubernetes.ts'
import { drainPods } from '../pools/drain-pods.ts'
import { BudgetDoor } from '../scheduling/burst/budget-door.ts'
import { LiveBudgets } from '../scheduling/burst/live-budgets.ts'
import { PoolBudgets } from '../scheduling/burst/pool-budgets.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'
import { overflowRules } from './overflow-rules.ts'

/** Everything about budgets that more than one room asks for. */
export interface BudgetDesk {
  readonly live: LiveBudgets
  /** What pools and nodes say of theirs. */
  readonly pools: PoolBudgets
  readonly tasks: Readonly<Record<string, Task>>
  /** At the door of a node of that pool: why the Pod may not start now. */
  refuses(pod: Pod, pool: string): BudgetRefused | undefined
}

export function budgetDesk(house: House, stacks: readonly BackendStack[]): BudgetDesk {
  const { cluster, bursts, events, world } = house
  const { api, pods, nodes, namespaces } = cluster
  const common = { bursts, pods, nodes, namespaces, pools: () => overflowRules(house, stacks).pools }
  const live = new LiveBudgets({
    ...common,
    poolObject: (name) => poolObject(house, name),
    evict: (victims, signal) => drainPods({ api, pods: victims, by: 'eviction' }, signal),
    events,
    ...world,
  })
  const door = new BudgetDoor({ ...common, clock: world.clock })
  return {
    live,
    pools: new PoolBudgets({ budgets: live, clock: world.clock }),
    tasks: { budgets: (inner) => live.run(inner) },
    refuses: (pod, pool) => {
      const refusal = door.ask(pod, pool)
      if (!refusal) return undefined
      const message = `Pod was rejected: ${refusal.evidence}`
      return { reason: 'OverBudget', message, isUnknown: refusal.isUnknown }
    },
  }
}

function poolObject({ pools }: House, name: string) {
  const uid = pools.get(name)?.object?.metadata?.uid
  if (uid === undefined) return undefined
  const apiVersion = `${customResourceGroup}/${customResourceVersion}`
  return { apiVersion, kind: 'VirtualNodePool', name, uid }
}
