import { backoffMs, type BackoffPolicy } from '../control/backoff.ts'
import { runController } from '../control/controller.ts'
import { KeyQueue } from '../control/queue.ts'
import type { KubeApi, ObjectName, Store, StoreChange } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import { pods as podResource } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { KubeObject, Namespace, Node, Pod, Service } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { isOver, type ClusterPicture } from './cluster-picture.ts'
import { decideOverflow, type OverflowRules } from './decide-overflow.ts'
import { mayCarryCost } from './deletion-cost.ts'
import { sendOutPatch } from './json-patches.ts'
import { lookAgainMs, wait, type HeldBy, type OverflowDecision } from './judgement.ts'
import type { VolumeSource } from './live-volumes.ts'
import { overflowPicture, refusedPods, withSentPod, type PictureOptions } from './overflow-picture.ts'
import { isUnschedulable } from './unschedulable.ts'
import { usesClaims } from './volumes.ts'
import { WrittenPods } from './written-pods.ts'

export interface OverflowOptions {
  readonly api: Pick<KubeApi, 'get' | 'patch'>
  /** All Pods of the cluster, of one watch: bindings then come before the refusals that they caused. */
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly services: Store<Service>
  /** Of now. */
  readonly rules: () => OverflowRules
  /** Calls back when the rules may have changed. Returns the end of the subscription. */
  readonly onRules: (listener: () => void) => () => void
  /** Left out: where volumes are is not looked at. */
  readonly volumes?: VolumeSource
  /** What a Pod that is let out gets written beside its leave; undefined: nothing. Default: nothing. */
  readonly deletionCost?: (pod: Pod) => number | undefined
  readonly events: EventSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** What nobody has to choose. 30 s for preemption: the grace that its victims have unless they say otherwise. */
export const defaultOverflowRules = { waitMs: 0, nominatedWaitMs: 30_000, allowLocalTraffic: false } as const

/**
 * Lets Pods that find no room on servers onto virtual nodes, by appending a toleration. Reacts to the scheduler's
 * condition at once, and to whatever may change a decision while a Pod waits. Resolves when the signal is aborted.
 */
export async function runOverflow(options: OverflowOptions, signal: AbortSignal): Promise<void> {
  const { pods, nodes, namespaces, services, onRules, clock } = options
  const queue = new KeyQueue({ clock, concurrency: 1 })
  const overflow = new Overflow(options)
  const maybe = (): void => {
    if (overflow.waiting) queue.add(roundKey, settleMs)
  }
  const onPod = ({ before, after }: StoreChange<Pod>): void => {
    if (after && isUnschedulable(after)) queue.add(roundKey)
    // Most changes are status updates of Pods that run; they hold what they held.
    else if (!before || !after || isOver(after) || before.spec?.nodeName !== after.spec?.nodeName) maybe()
  }
  try {
    await Promise.all(
      [pods, nodes, namespaces, services].map((store: Store<KubeObject>) => store.whenSynced(signal)),
    )
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const ends = [
    pods.subscribe(onPod),
    nodes.subscribe(maybe),
    namespaces.subscribe(maybe),
    services.subscribe(maybe),
    onRules(maybe),
    ...(options.volumes ? [options.volumes.subscribe(maybe)] : []),
  ]
  queue.add(roundKey)
  const { random, log } = options
  try {
    await runController(
      {
        name: 'overflow',
        queue,
        clock,
        random,
        log,
        reconcile: async (_key, signal) => overflow.round(signal),
      },
      signal,
    )
  } finally {
    for (const end of ends) end()
  }
}

/** All Pods are decided together, since each that goes out takes room from the others. */
const roundKey = 'round'

/** Changes come in crowds; a Pod that waits need not be looked at for each. */
const settleMs = 20

/** More wait for the next round, which knows what this one's writes have changed. */
export const mostSentAtOnce = 32

const conflictBackoff: BackoffPolicy = { firstMs: 20, longestMs: 30_000, factor: 4, jitter: 0.2 }

interface Memory {
  /** Wall time; of the node named now. */
  nominated?: { readonly node: string; readonly sinceMs: number }
  /** What was last told about it in an event. */
  told?: string
  failures: number
  /** Monotonic. */
  notBeforeMs: number
}

class Overflow {
  readonly #options: OverflowOptions
  readonly #written = new WrittenPods()
  /** Whose patch may have been taken or not: no answer came. By Pod UID. */
  readonly #unclear = new Map<string, ObjectName>()
  /** By Pod UID; only of Pods that are Unschedulable now. */
  #memories = new Map<string, Memory>()

  constructor(options: OverflowOptions) {
    this.#options = options
  }

  /** Whether some Pod could have another answer when the cluster changes. */
  get waiting(): boolean {
    return this.#memories.size > 0
  }

  /** Decides every Unschedulable Pod and sends those that may go. */
  async round(signal: AbortSignal): Promise<{ afterMs?: number }> {
    await this.#clearUp(signal)
    const { clock } = this.#options
    const rules = this.#options.rules()
    const all = this.#written.over(this.#options.pods.list())
    const refused = refusedPods(all)
    this.#remember(refused)
    if (refused.length === 0) {
      rules.bursts?.tellHeld([])
      return {}
    }
    if (refused.some(usesClaims)) this.#options.volumes?.want()
    const sends: Promise<void>[] = []
    const held: HeldBy[] = []
    let nextMs = Number.POSITIVE_INFINITY
    const now = { rules, nowWallMs: clock.wallMs() }
    let picture = this.#picture(all, { refused, ...now })
    for (const pod of refused) {
      if (sends.length >= mostSentAtOnce) {
        // Whoever comes after is decided in the next round, and would have to be decided again there.
        nextMs = 0
        break
      }
      const leftMs = this.#memoryOf(pod).notBeforeMs - this.#options.clock.monotonicMs()
      const decision = leftMs > 0 ? undefined : this.#decide(pod, picture, now)
      if (!decision || decision.kind === 'wait') nextMs = Math.min(nextMs, decision?.afterMs ?? leftMs)
      if (decision?.kind === 'send') {
        picture = withSentPod(picture, { pod, pool: decision.pool }, now)
        sends.push(this.#send(pod, decision, signal))
      } else if (decision?.heldBy) {
        held.push(decision.heldBy)
        this.#tell(pod, 'OverflowHeld', decision.heldBy.told)
      } else if (decision?.kind === 'never' && decision.notable) {
        this.#tell(pod, 'OverflowRefused', decision.because)
      }
    }
    // With more to come it is not all.
    if (nextMs > 0) rules.bursts?.tellHeld(held)
    await settleAll(sends)
    for (const { notBeforeMs, failures } of this.#memories.values()) {
      if (failures > 0)
        nextMs = Math.min(nextMs, Math.max(notBeforeMs - this.#options.clock.monotonicMs(), 1))
    }
    return Number.isFinite(nextMs) ? { afterMs: nextMs } : {}
  }

  /** A Pod that went without our knowing would be counted out of its policy's caps, and another one sent in its place. */
  async #clearUp(signal: AbortSignal): Promise<void> {
    for (const [uid, object] of this.#unclear) {
      try {
        const pod = await this.#options.api.get(podResource, object, signal)
        if (pod.metadata?.uid === uid) this.#written.add(pod)
      } catch (error) {
        if (!hasCode(error, 'NotFound')) throw error
      }
      this.#unclear.delete(uid)
    }
  }

  #picture(pods: readonly Pod[], options: PictureOptions): ClusterPicture {
    const { nodes, namespaces, services } = this.#options
    const objects = {
      pods,
      nodes: nodes.list(),
      namespaces: namespaces.list(),
      services: services.list(),
      volumes: this.#options.volumes?.objects(),
    }
    return overflowPicture(objects, options)
  }

  #decide(
    pod: Pod,
    picture: ClusterPicture,
    { rules, nowWallMs }: Omit<PictureOptions, 'refused'>,
  ): OverflowDecision {
    const { log, volumes } = this.#options
    if (volumes?.awaited && usesClaims(pod))
      return wait(lookAgainMs, 'it is not known yet where its volumes are')
    const nominatedSinceMs = this.#memoryOf(pod).nominated?.sinceMs
    const decision = decideOverflow(pod, picture, rules, { nowWallMs, nominatedSinceMs })
    log.debug({ pod: podRef(pod), ...decision }, 'overflow decided')
    return decision
  }

  async #send(
    pod: Pod,
    { pool, because }: { pool: string; because: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { api, deletionCost, log, clock, random } = this.#options
    const { namespace, name } = podRef(pod)
    const memory = this.#memoryOf(pod)
    try {
      const cost = mayCarryCost(pod) ? deletionCost?.(pod) : undefined
      const patch = { type: 'json', body: sendOutPatch(pod, pool, cost) } as const
      this.#written.add(await api.patch(podResource, { namespace, name }, patch, signal))
      memory.failures = 0
      log.info({ pod: `${namespace}/${name}`, pool, because }, 'Pod may go to virtual nodes')
      this.#tell(pod, 'Overflow', `${because}; may go to virtual nodes of pool ${pool}`)
    } catch (error) {
      // It is gone: the watch will say so too.
      if (hasCode(error, 'NotFound')) return
      // A test of the patch that fails is answered 422 (Invalid): the Pod is not the one that was decided about. It is
      // decided anew when its new form comes in, or after the back-off; so is one whose patch can never succeed.
      if (!hasCode(error, 'Conflict') && !hasCode(error, 'Invalid')) {
        this.#unclear.set(podRef(pod).uid, { namespace, name })
        throw error
      }
      memory.failures += 1
      memory.notBeforeMs = clock.monotonicMs() + backoffMs(conflictBackoff, memory.failures, random())
      log.debug(
        { pod: `${namespace}/${name}`, error: errorMessage(error) },
        'the Pod changed, deciding again',
      )
    }
  }

  #tell(pod: Pod, reason: string, message: string): void {
    const memory = this.#memoryOf(pod)
    if (memory.told === message) return
    memory.told = message
    const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
    this.#options.events.record({ object, type: 'Normal', reason, message })
  }

  #remember(refused: readonly Pod[]): void {
    const memories = new Map<string, Memory>()
    for (const pod of refused) {
      const uid = pod.metadata?.uid ?? ''
      const memory = this.#memories.get(uid) ?? { failures: 0, notBeforeMs: 0 }
      const node = pod.status?.nominatedNodeName
      if (!node) delete memory.nominated
      else if (memory.nominated?.node !== node)
        memory.nominated = { node, sinceMs: this.#options.clock.wallMs() }
      memories.set(uid, memory)
    }
    this.#memories = memories
  }

  #memoryOf(pod: Pod): Memory {
    const memory = this.#memories.get(pod.metadata?.uid ?? '')
    if (!memory) throw new Error('a Pod is decided that was not remembered')
    return memory
  }
}

/** Lets all end before the first error goes up, so that no write is left running behind the round's back. */
async function settleAll(sends: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(sends)).find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}
