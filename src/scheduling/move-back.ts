import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { KubeApi, Store, StoreChange } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import { pods as podResource } from '../kube/resources.ts'
import { assertNever } from '../model/assert.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { Deployment, KubeObject, Namespace, Node, Pod, ReplicaSet } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { isOver, pictureOf } from './cluster-picture.ts'
import {
  decideMoveBack,
  putOff,
  type MoveBackDecision,
  type MoveBackPolicy,
  type MoveBackStep,
  type PutOff,
} from './decide-move-back.ts'
import { whyNotEvictable } from './dry-run-eviction.ts'
import { handOverPatch, makeTwin, putOffPatch, twinOf } from './twin.ts'
import { WrittenPods } from './written-pods.ts'

export interface MoveBackOptions {
  readonly api: Pick<KubeApi, 'patch' | 'create' | 'delete' | 'createSubresource'>
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly replicaSets: Store<ReplicaSet>
  readonly deployments: Store<Deployment>
  readonly policy: MoveBackPolicy
  /** Whether the policy cannot answer yet: nothing is decided then, and no twin that is there is taken for unwanted. */
  readonly isPolicyAwaited: () => boolean
  /** Calls back when the policy may have changed. Returns the end of the subscription. */
  readonly onPolicy: (listener: () => void) => () => void
  /** What a Pod on a virtual node costs, as in `0.0462 USD`; undefined: not known. */
  readonly pricePerHour: (pod: Pod) => string | undefined
  readonly events: EventSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/**
 * Brings Pods that overflow sent out back to servers that have had room for a while: a twin on a server first, outside of
 * the ReplicaSet; when it is available the ReplicaSet gets it, and, one too many, removes the Pod on the virtual node.
 * `replicas` is never touched, so that neither an autoscaler nor GitOps sees a change. Resolves when aborted.
 */
export async function runMoveBack(options: MoveBackOptions, signal: AbortSignal): Promise<void> {
  const { pods, nodes, namespaces, replicaSets, deployments, clock, random, log } = options
  const stores: readonly Store<KubeObject>[] = [pods, nodes, namespaces, replicaSets, deployments]
  const queue = new KeyQueue({ clock, concurrency: 1 })
  const moveBack = new MoveBack(options)
  const later = (): void => queue.add(roundKey, settleMs)
  const onPod = ({ before, after }: StoreChange<Pod>): void => {
    // A twin that the scheduler refuses must be gone before a cluster autoscaler buys a server for it.
    if (after && twinOf(after) !== undefined) queue.add(roundKey)
    else if (!before || !after || isOver(after) || before.spec?.nodeName !== after.spec?.nodeName) later()
  }
  try {
    await Promise.all(stores.map((store) => store.whenSynced(signal)))
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const ends = [
    pods.subscribe(onPod),
    ...stores.slice(1).map((store) => store.subscribe(later)),
    options.onPolicy(later),
  ]
  queue.add(roundKey)
  const reconcile = async (_key: string, inner: AbortSignal): Promise<{ afterMs?: number }> =>
    moveBack.round(inner)
  try {
    await runController({ name: 'move-back', queue, reconcile, clock, random, log }, signal)
  } finally {
    for (const end of ends) end()
  }
}

/** All Pods are decided together, since each that comes back takes room from the others. */
const roundKey = 'round'

/** Nobody waits for it; on a busy cluster a look at everything is not made for each change. */
const settleMs = 500

/** A disruption budget is asked again after that time. */
const budgetAgainMs = 2_000

class MoveBack {
  readonly #options: MoveBackOptions
  readonly #written = new WrittenPods()
  #roomSinceMs: MoveBackDecision['roomSinceMs'] = new Map()

  constructor(options: MoveBackOptions) {
    this.#options = options
  }

  async round(signal: AbortSignal): Promise<{ afterMs?: number }> {
    const { policy, isPolicyAwaited, clock, log } = this.#options
    // Who calls back when it is there makes the next round.
    if (isPolicyAwaited()) return {}
    const { steps, roomSinceMs, afterMs } = decideMoveBack(this.#view(), policy, {
      nowWallMs: clock.wallMs(),
      roomSinceMs: this.#roomSinceMs,
    })
    this.#roomSinceMs = roomSinceMs
    const waits = afterMs === undefined ? [] : [afterMs]
    for (const step of steps) {
      log.debug({ step: step.kind }, 'move back decided')
      const againMs = await this.#take(step, signal)
      if (againMs !== undefined) waits.push(againMs)
    }
    return waits.length > 0 ? { afterMs: Math.min(...waits) } : {}
  }

  #view(): Parameters<typeof decideMoveBack>[0] {
    const { nodes, namespaces, replicaSets, deployments } = this.#options
    const pods = this.#written.over(this.#options.pods.list())
    const picture = pictureOf({ pods, nodes: nodes.list(), namespaces: namespaces.list(), services: [] })
    return { picture, pods, replicaSets: replicaSets.list(), deployments: deployments.list() }
  }

  /** Milliseconds until it has to be looked at again. */
  async #take(step: MoveBackStep, signal: AbortSignal): Promise<number | undefined> {
    try {
      switch (step.kind) {
        case 'make':
          return await this.#make(step, signal)
        case 'hand over':
          return await this.#handOver(step, signal)
        case 'give up':
          await this.#putOff(step.original, step.because, step.until, signal)
          return await this.#remove(step.twin, step.because, signal)
        case 'drop':
          return await this.#remove(step.twin, step.because, signal)
        default:
          return assertNever(step, 'step')
      }
    } catch (error) {
      // It is gone, or not what was decided about: its change comes in, or has come.
      if (!hasCode(error, 'NotFound') && !hasCode(error, 'Conflict') && !hasCode(error, 'Invalid'))
        throw error
      this.#options.log.debug(
        { step: step.kind, error: errorMessage(error) },
        'a Pod changed, deciding again',
      )
      return settleMs
    }
  }

  async #make(
    { original, replicaSet, because }: Extract<MoveBackStep, { kind: 'make' }>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { api, pods, clock, policy, log } = this.#options
    const { namespace, name } = podRef(original)
    const isTaken = (wanted: string): boolean => pods.get({ namespace, name: wanted }) !== undefined
    const twin = makeTwin(original, replicaSet, isTaken)
    if (!twin) return undefined
    try {
      const made = await api.create(podResource, twin, signal)
      this.#written.add(made)
      log.info(
        { pod: `${namespace}/${name}`, twin: made.metadata?.name, because },
        'a twin is made on servers',
      )
      this.#tell(
        original,
        'MoveBack',
        `${because}; ${made.metadata?.name} is to take its place${this.#saves(original)}`,
      )
      return undefined
    } catch (error) {
      // A quota, an admission policy, or a right that is missing. A name that is taken is mostly ours, of a round whose news
      // has not come in: that is decided again.
      if (!hasCode(error, 'Forbidden') && !hasCode(error, 'Invalid')) throw error
      const rules = policy.rulesOf(original)
      if (rules) {
        const until = putOff(original, rules, clock.wallMs())
        await this.#putOff(original, `a twin of it was refused: ${errorMessage(error)}`, until, signal)
      }
      return undefined
    }
  }

  async #handOver(
    { twin, original, leaving, replicaSet }: Extract<MoveBackStep, { kind: 'hand over' }>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { api, log } = this.#options
    const refusal = await whyNotEvictable(api, leaving, signal)
    if (refusal !== undefined) {
      log.debug({ pod: podRef(leaving), refusal }, 'it may not be evicted')
      this.#tell(original, 'MoveBackWaits', `${twin.metadata?.name} is there, but ${refusal}`)
      return budgetAgainMs
    }
    const { namespace, name } = podRef(twin)
    const patch = { type: 'json', body: handOverPatch(twin, leaving, replicaSet) } as const
    this.#written.add(await api.patch(podResource, { namespace, name }, patch, signal))
    const from = `${leaving.metadata?.name} on virtual node ${leaving.spec?.nodeName}`
    const saves = this.#saves(leaving)
    log.info({ pod: `${namespace}/${name}`, from, node: twin.spec?.nodeName }, `moved back${saves}`)
    this.#tell(twin, 'MovedBack', `takes the place of ${from}${saves}`)
    this.#tell(leaving, 'MovedBack', `${name} on server ${twin.spec?.nodeName} takes its place${saves}`)
    if (leaving !== original)
      this.#tell(original, 'MovedBack', `${name} took the place of ${leaving.metadata?.name}`)
    return undefined
  }

  /** First the note, then the twin: the other way round a crash in between would make the next one at once. */
  async #putOff(original: Pod, because: string, until: PutOff, signal: AbortSignal): Promise<void> {
    const { namespace, name } = podRef(original)
    const patch = { type: 'json', body: putOffPatch(original, until) } as const
    this.#written.add(await this.#options.api.patch(podResource, { namespace, name }, patch, signal))
    this.#tell(original, 'MoveBackPutOff', `${because}; not tried again before ${until.time}`)
  }

  async #remove(twin: Pod, because: string, signal: AbortSignal): Promise<undefined> {
    const { namespace, name, uid } = podRef(twin)
    await this.#options.api.delete(podResource, { namespace, name }, { uid }, signal)
    this.#options.log.info({ pod: `${namespace}/${name}`, because }, 'a twin is removed')
    this.#tell(twin, 'MoveBackEnded', `removed: ${because}`)
  }

  #saves(pod: Pod): string {
    const price = this.#options.pricePerHour(pod)
    return price === undefined ? '' : `; saves ${price} an hour`
  }

  #tell(pod: Pod, reason: string, message: string): void {
    const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
    this.#options.events.record({ object, type: 'Normal', reason, message })
  }
}
