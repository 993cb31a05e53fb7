import { explainPrice } from '../billing/explain-price.ts'
import type { MoveBackWishes } from '../config/burst-policy.ts'
import { defaultBackoff, jitteredBackoff } from '../control/backoff.ts'
import type { Task } from '../control/tasks.ts'
import type { Resource } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { deployments, replicaSets } from '../kube/resources.ts'
import { ObjectStore } from '../kube/store.ts'
import type { Deployment, KubeObject, Pod, ReplicaSet } from '../model/kubernetes.ts'
import { poolOf } from '../scheduling/cluster-picture.ts'
import type { MoveBackPolicy, MoveBackRules } from '../scheduling/decide-move-back.ts'
import { runMoveBack } from '../scheduling/move-back.ts'
import { policyOf } from './burst-policies.ts'
import type { House } from './house.ts'

/** The rules of moving back: of who does it, and of who explains it. */
export function moveBackPolicy(house: House): MoveBackPolicy {
  const { enabled, perMinute, ...rules } = house.config.moveBack
  const rulesOf = (pod: Pod): MoveBackRules | undefined => {
    // Before policies are known nobody is moved whom one may want to stay.
    if (!enabled || !house.bursts.facts().policies) return undefined
    return withWishes(rules, policyOf(house, pod)?.spec.moveBack)
  }
  return { rulesOf, perMinute }
}

function withWishes(rules: MoveBackRules, wishes: MoveBackWishes | undefined): MoveBackRules | undefined {
  if (!wishes) return rules
  const { enabled, afterSeconds, reservePercent, giveUpAfterSeconds } = wishes
  if (!enabled) return undefined
  return {
    afterMs: afterSeconds === undefined ? rules.afterMs : afterSeconds * 1000,
    reservePercent: reservePercent ?? rules.reservePercent,
    giveUpMs: giveUpAfterSeconds === undefined ? rules.giveUpMs : giveUpAfterSeconds * 1000,
  }
}

/** What a Pod on a virtual node costs by the book of its pool. */
export function pricePerHour({ books, pools, cluster, world }: House, pod: Pod): string | undefined {
  const node = cluster.nodes.get({ name: pod.spec?.nodeName ?? '' })
  const pool = node && pools.get(poolOf(node) ?? '')?.config
  const book = pool && books.get(pool.priceBook)
  if (!book) return undefined
  const { size, currency } = explainPrice(pod, book, world.clock.wallMs(), pool)
  return size && `${size.perHour} ${currency}`
}

/** Moving back, with the watches that nobody else needs; none when the configuration does not turn it on. */
export function moveBackTasks(house: House): Record<string, Task> {
  const { config, world, cluster, events } = house
  if (!config.moveBack.enabled) return {}
  const { api, pods, nodes, namespaces } = cluster
  const sets = new ObjectStore<ReplicaSet>(world)
  const owners = new ObjectStore<Deployment>(world)
  const backoff = jitteredBackoff(defaultBackoff, world.random)
  const watch =
    <T extends KubeObject>(resource: Resource<T>, store: ObjectStore<T>): Task =>
    (inner) =>
      reflect<T>({ api, resource, selection: {}, store, backoff, ...world }, inner)
  return {
    'watch of ReplicaSets': watch(replicaSets, sets),
    'watch of Deployments': watch(deployments, owners),
    'move back': (inner) =>
      runMoveBack(
        {
          api,
          pods,
          nodes,
          namespaces,
          replicaSets: sets,
          deployments: owners,
          policy: moveBackPolicy(house),
          isPolicyAwaited: () => house.bursts.awaited,
          onPolicy: (listener) => house.bursts.subscribe(listener),
          pricePerHour: (pod) => pricePerHour(house, pod),
          events,
          ...world,
        },
        inner,
      ),
  }
}
