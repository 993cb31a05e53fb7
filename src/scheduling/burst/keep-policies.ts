import { runController } from '../../control/controller.ts'
import { KeyQueue } from '../../control/queue.ts'
import type { KubeApi, Store, StoreChange } from '../../kube/api.ts'
import type { EventSink } from '../../kube/events.ts'
import { customResourceGroup, customResourceVersion } from '../../config/custom-resource.ts'
import type { Clock } from '../../model/clock.ts'
import { errorMessage, hasCode } from '../../model/errors.ts'
import type { Namespace, Node, Pod } from '../../model/kubernetes.ts'
import { podRef } from '../../model/pod-key.ts'
import type { Log } from '../../telemetry/log.ts'
import { isOver } from '../cluster-picture.ts'
import type { HeldBy } from '../judgement.ts'
import { selectedOf, type PricedPool } from './accounts.ts'
import { atCreation } from './at-creation.ts'
import { burstPictureOf, type BurstPicture } from './burst-picture.ts'
import { selects, type BurstPolicy } from './burst-policy.ts'
import { burstResources, type BurstPolicyObject, type BurstPolicyStatus } from './burst-policy-object.ts'
import type { BurstSource } from './burst-source.ts'
import { burstStatus, differs, type BurstTally } from './burst-status.ts'
import { capStates } from './spend.ts'
import { nodeNames, placeOf, workloadKey } from './workload-counts.ts'

export interface KeepPoliciesOptions {
  readonly api: Pick<KubeApi, 'patch'>
  readonly bursts: Pick<BurstSource, 'facts' | 'subscribe'> & {
    readonly held: readonly HeldBy[]
    objectOf(policy: BurstPolicy): BurstPolicyObject | undefined
  }
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly pools: () => readonly PricedPool[]
  /** Asks for the end of Pods as PodDisruptionBudgets allow. Answers what stands in the way, a sentence each. */
  readonly evict: (pods: readonly Pod[], signal: AbortSignal) => Promise<readonly string[]>
  readonly events: EventSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** Of conditions: nothing to tell people of. */
const wellReasons: readonly string[] = ['Accepted', 'FromTheStart', 'WithinBudget']

/** Changes come in crowds; a status is for people. */
const settleMs = 1_000
const moneySettleMs = 100
/** Money moves all the time, whether anything changes or not. */
const againMs = 5_000
/** No more than that for figures of money alone. */
const moneyAgeMs = 30_000

/**
 * Tells each policy what has become of it (its status, events), and ends what runs where a cap is spent and the policy
 * says so. Resolves when the signal is aborted.
 */
export async function keepPolicies(options: KeepPoliciesOptions, signal: AbortSignal): Promise<void> {
  const { bursts, pods, nodes, namespaces, clock, random, log } = options
  const queue = new KeyQueue({ clock, concurrency: 1 })
  const soon = (): void => queue.add('pass', settleMs)
  const onPod = ({ before, after }: StoreChange<Pod>): void => {
    const isSame =
      before && after && before.spec?.nodeName === after.spec?.nodeName && isOver(before) === isOver(after)
    if (!isSame || before.spec?.tolerations?.length !== after.spec?.tolerations?.length) soon()
  }
  const keeper = new PolicyKeeper(options)
  // The ledger has been read, perhaps since a cap is reached just now: who says Stop means at once.
  const ends = [
    bursts.subscribe(() => queue.add('pass', moneySettleMs)),
    pods.subscribe(onPod),
    nodes.subscribe(soon),
  ]
  try {
    await Promise.all([pods, nodes, namespaces].map((store) => store.whenSynced(signal)))
    soon()
    await runController(
      {
        name: 'burst policies',
        queue,
        reconcile: async (_key, inner) => {
          await keeper.pass(inner)
          return { afterMs: againMs }
        },
        clock,
        random,
        log,
      },
      signal,
    )
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    for (const end of ends) end()
  }
}

class PolicyKeeper {
  readonly #options: KeepPoliciesOptions
  /** Monotonic, by UID of the policy. */
  readonly #writtenMs = new Map<string, number>()

  constructor(options: KeepPoliciesOptions) {
    this.#options = options
  }

  async pass(signal: AbortSignal): Promise<void> {
    const { bursts, pods, nodes, namespaces, pools, clock } = this.#options
    const facts = bursts.facts()
    if (!facts.policies || facts.policies.length === 0) return
    const nowWallMs = clock.wallMs()
    const homes = new Map(namespaces.list().map((home) => [home.metadata?.name ?? '', home]))
    const objects = { pods: pods.list(), nodes: nodes.list(), namespaces: homes, pools: pools() }
    const picture = burstPictureOf(facts, { ...objects, nowMs: nowWallMs })
    const tallies = tallyOf(picture, objects, bursts.held)
    const names = objects.pools.map(({ name }) => name)
    for (const policy of facts.policies) {
      const object = bursts.objectOf(policy)
      const tally = tallies.get(policy.uid)
      if (!object || !tally) continue
      const previous = object.status
      const always = atCreation(policy, { policies: facts.policies, namespaces: namespaces.list() })
      const moment = { pools: names, atCreation: always, previous, nowWallMs }
      const status = burstStatus(policy, tally, moment)
      // A status that cannot be written must not keep what costs money running, nor one policy another.
      await this.#tried(policy, () => this.#write(policy, previous, status, signal), signal)
      await this.#tried(policy, () => this.#stop(policy, tally, signal), signal)
    }
  }

  async #tried(policy: BurstPolicy, act: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await act()
    } catch (error) {
      signal.throwIfAborted()
      this.#options.log.warn({ policy: policy.title, error: errorMessage(error) }, 'a policy cannot be kept')
    }
  }

  async #write(
    policy: BurstPolicy,
    previous: BurstPolicyStatus | undefined,
    status: BurstPolicyStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { api, clock } = this.#options
    const nowMs = clock.monotonicMs()
    const isOld = nowMs - (this.#writtenMs.get(policy.uid) ?? Number.NEGATIVE_INFINITY) >= moneyAgeMs
    if (!differs(previous, status) && !(status.spend && isOld)) return
    const { kind, namespace, name, uid } = policy
    const where = { name, ...(namespace !== undefined && { namespace }) }
    const body = { metadata: { uid }, status }
    try {
      await api.patch(burstResources[kind], where, { type: 'merge', subresource: 'status', body }, signal)
    } catch (error) {
      // Gone, or another one of that name.
      if (hasCode(error, 'NotFound') || hasCode(error, 'Conflict')) return
      throw error
    }
    this.#writtenMs.set(uid, nowMs)
    this.#tellChanges(policy, previous, status)
  }

  /** An event when a condition has come to another reason; what is well from the start is not told. */
  #tellChanges(
    policy: BurstPolicy,
    previous: BurstPolicyStatus | undefined,
    { conditions = [] }: BurstPolicyStatus,
  ): void {
    for (const { type, reason, message } of conditions) {
      const before = previous?.conditions?.find((condition) => condition.type === type)?.reason
      const isWell = wellReasons.includes(reason)
      if (before === reason || (isWell && before === undefined)) continue
      this.#options.events.record({
        object: eventObject(policy),
        type: isWell ? 'Normal' : 'Warning',
        reason,
        message,
      })
    }
  }

  /** What runs goes on when a cap is spent, unless the policy says `Stop`. */
  async #stop(policy: BurstPolicy, tally: PolicyTally, signal: AbortSignal): Promise<void> {
    const caps = policy.spec.spend
    if (caps?.atCap !== 'Stop' || !tally.commitment || tally.bound.length === 0) return
    const spent = capStates(caps, tally.commitment).find((state) => state.spent >= state.cap)
    if (!spent) return
    const { evict, events, log } = this.#options
    const blocked = await evict(tally.bound, signal)
    const message = `the cap per ${spent.period} of ${policy.title} is spent, and it says atCap Stop`
    log.info(
      { policy: policy.title, pods: tally.bound.length, blocked: blocked.length },
      'Pods evicted at a cap',
    )
    for (const pod of tally.bound) {
      const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
      events.record({ object, type: 'Warning', reason: 'SpendCapReached', message })
    }
    if (blocked.length === 0) return
    const why = `${blocked.length} of ${tally.bound.length} Pods cannot be evicted now: ${blocked[0]}`
    events.record({ object: eventObject(policy), type: 'Warning', reason: 'StopBlocked', message: why })
  }
}

interface PolicyTally extends BurstTally {
  /** On virtual nodes, and nobody has asked for their end. */
  readonly bound: readonly Pod[]
}

/** How many of what each policy selects, by its UID. Pure. */
export function tallyOf(
  picture: BurstPicture,
  {
    pods,
    nodes,
    namespaces,
  }: {
    readonly pods: readonly Pod[]
    readonly nodes: readonly Node[]
    readonly namespaces: ReadonlyMap<string, Namespace>
  },
  held: readonly HeldBy[],
): ReadonlyMap<string, PolicyTally> {
  const names = nodeNames(nodes)
  const living = pods
    .filter((pod) => !isOver(pod))
    .map((pod) => ({ pod, place: placeOf(pod, names), key: workloadKey(pod), selected: selectedOf(pod) }))
  const tallies = new Map<string, PolicyTally>()
  for (const policy of picture.policies ?? []) {
    const own = living.filter(({ selected }) => selects(policy, selected, namespaces.get(selected.namespace)))
    const out = own.filter(({ place }) => place === 'virtual')
    const account = picture.spend && picture.accounts.get(policy.uid)
    tallies.set(policy.uid, {
      workloads: new Set(own.map(({ key }) => key)).size,
      pods: own.length,
      virtualPods: out.length,
      held: held.filter(({ policy: uid }) => uid === policy.uid),
      commitment: account?.commitment,
      forecast: account?.forecast,
      bound: out.flatMap(({ pod }) => (pod.spec?.nodeName && !pod.metadata?.deletionTimestamp ? [pod] : [])),
    })
  }
  return tallies
}

function eventObject({ kind, namespace, name, uid }: BurstPolicy): {
  apiVersion: string
  kind: string
  namespace?: string
  name: string
  uid: string
} {
  const apiVersion = `${customResourceGroup}/${customResourceVersion}`
  return { apiVersion, kind, ...(namespace !== undefined && { namespace }), name, uid }
}
