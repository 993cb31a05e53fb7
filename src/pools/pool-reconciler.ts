import type { PoolConfig } from '../config/pool.ts'
import type { KubeApi, Store } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import { virtualNodePools } from '../kube/resources.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import type { PoolBudget } from '../model/budget-finding.ts'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { forceDeleteAnnotation, poolFinalizer, sandboxReadyCondition } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import type { KnownPool, KnownPools } from './known-pools.ts'
import type { NodeHost } from './node-host.ts'
import { planPool } from './plan-pool.ts'
import { memberNodes, type MemberNode } from './pool-nodes.ts'
import { PoolSize } from './pool-size.ts'
import { noSandbox, poolStatus, poolStatusDiffers, type PoolFacts } from './pool-status.ts'
import { PoolVoice } from './pool-voice.ts'
import { RetireNodes, type RetirementState } from './retire-nodes.ts'

export interface PoolReconcilerOptions {
  readonly pools: KnownPools
  readonly host: NodeHost
  /** As the controller. */
  readonly api: Pick<KubeApi, 'list' | 'patch' | 'delete' | 'createSubresource'>
  readonly nodes: Store<Node>
  readonly pods: Store<Pod>
  readonly podsOn: (node: string) => readonly Pod[]
  /** Pods that find no room and that nodes of the pool would take: what autoscaling is for. */
  readonly waitingFor: (pool: string) => readonly Pod[]
  /** How its budget stands; undefined: it has none. */
  readonly budgetOf: (pool: string) => PoolBudget | undefined
  readonly events: EventSink
  /** What pools say that this process has taken. */
  readonly instance: string
  readonly clock: Clock
  readonly log: Log
}

/** Evictions that a budget stands in the way of, and Pods that take their time. */
const retireAgainMs = 1_000

/** Why a pool is to lose all its nodes. */
interface Ending {
  readonly forced: boolean
  readonly noMercyFromMs: number | undefined
}

/** Brings one pool a step nearer to what it is to be; called again on every change, and after the time it answers. */
export class PoolReconciler {
  readonly #options: PoolReconcilerOptions
  readonly #voice: PoolVoice
  readonly #size: PoolSize
  readonly #retirement: RetireNodes

  constructor(options: PoolReconcilerOptions) {
    this.#options = options
    this.#voice = new PoolVoice(options.events)
    this.#size = new PoolSize(options)
    this.#retirement = new RetireNodes(options)
  }

  /** Pools whose size follows the Pods of the cluster. */
  autoscaled(): readonly string[] {
    const { pools } = this.#options
    return pools.configs().flatMap(({ name, autoscale }) => (autoscale ? [name] : []))
  }

  async reconcile(name: string, signal: AbortSignal): Promise<{ readonly afterMs?: number }> {
    const { host, pools } = this.#options
    const known = pools.get(name)
    const ending = endingOf(known)
    if (!known && host.served(name).length === 0) return {}
    if (ending) return await this.#end(name, known, ending, signal)
    if (!known?.config) {
      await this.#report(known, { wanted: this.#members(name).length }, signal)
      return {}
    }
    await this.#hold(known, signal)
    return await this.#keep(known.config, known, signal)
  }

  /** A pool that is to be there. */
  async #keep(
    config: PoolConfig,
    known: KnownPool,
    signal: AbortSignal,
  ): Promise<{ readonly afterMs?: number }> {
    const { name } = config
    const wanted = await this.#wanted(config, known, signal)
    this.#apply(name, { wanted, known })
    const members = this.#members(name)
    const leaving = members.filter(({ retiring }) => retiring)
    const retired = await this.#retirement.step(
      { nodes: leaving, evict: true, noMercyFromMs: undefined },
      signal,
    )
    this.#tellRetired(known, retired, `nodes: ${wanted} wanted`)
    const drained = config.drained ? await this.#retirement.drain(members, signal) : []
    const blocked = [...retired.blocked, ...drained]
    await this.#report(known, { wanted, blocked }, signal)
    const busy = retired.waiting > 0 || drained.length > 0
    const dueMs = busy ? retireAgainMs : this.#size.dueMs(config, members)
    return dueMs === undefined ? {} : { afterMs: dueMs }
  }

  /** A pool that is to go: its nodes first. */
  async #end(
    name: string,
    known: KnownPool | undefined,
    ending: Ending,
    signal: AbortSignal,
  ): Promise<{ readonly afterMs?: number }> {
    this.#apply(name, { wanted: 0, known })
    const { forced, noMercyFromMs } = ending
    const retirement = { nodes: this.#members(name), evict: forced, noMercyFromMs }
    const retired = await this.#retirement.step(retirement, signal)
    this.#tellRetired(known, retired, 'the pool is deleted')
    if (retired.waiting > 0) {
      await this.#report(known, { wanted: 0, blocked: retired.blocked, ending }, signal)
      return { afterMs: retireAgainMs }
    }
    await this.#letGo(known, signal)
    return {}
  }

  /** Says to the host which nodes there are to be, and which of them are on their way out. */
  #apply(name: string, { wanted, known }: { wanted: number; known: KnownPool | undefined }): void {
    const { host } = this.#options
    const members = this.#members(name)
    const plan = planPool(wanted, members.map(asPlanned))
    const leaves = new Set(plan.retire)
    for (const { ordinal, name: node, hosted, retiring } of members) {
      const leaving = leaves.has(ordinal)
      if (leaving && !retiring) {
        const message = `${node} takes no new Pods and is emptied (nodes: ${members.length} there, ${wanted} wanted)`
        this.#voice.say(known?.object, { reason: 'NodeRetiring', message })
      }
      if (hosted) host.setRetiring(node, leaving)
      // Of the last process; without a configuration nobody knows how to be it.
      else if (known?.config) host.start({ pool: name, ordinal, retiring: leaving })
    }
    for (const ordinal of plan.add) host.start({ pool: name, ordinal, retiring: false })
    if (plan.add.length > 0) {
      const message = `${plan.add.map((ordinal) => `${name}-${ordinal}`).join(', ')} (nodes: ${members.length} there, ${wanted} wanted)`
      this.#voice.say(known?.object, { reason: 'NodeAdded', message })
    }
  }

  async #wanted(config: PoolConfig, { object }: KnownPool, signal: AbortSignal): Promise<number> {
    const { name, replicas } = config
    const wanted = this.#size.wanted(config, this.#members(name)) ?? replicas
    if (wanted !== replicas) {
      await this.#options.pools.scale(name, wanted, signal)
      this.#voice.say(object, {
        reason: 'Scaled',
        message: `nodes: from ${replicas} to ${wanted}, as its load asks for`,
      })
    }
    return wanted
  }

  #members(name: string): MemberNode[] {
    const { host, nodes, podsOn } = this.#options
    return memberNodes(name, host.served(name), this.#retirement.stillThere(nodes.list()), podsOn)
  }

  #tellRetired(
    known: KnownPool | undefined,
    { removed, leftBehind, blocked }: RetirementState,
    why: string,
  ): void {
    const { object } = known ?? {}
    for (const node of removed)
      this.#voice.say(object, { reason: 'NodeRemoved', message: `${node} (${why})` })
    for (const node of leftBehind) {
      const message = `${node} went with Pods that its backend could not be made to end; it ends them when it answers again`
      this.#voice.say(object, { type: 'Warning', reason: 'PodsLeftBehind', message })
    }
    const [first] = blocked
    if (first === undefined) this.#voice.over(object, 'DrainBlocked')
    else this.#voice.say(object, { type: 'Warning', reason: 'DrainBlocked', message: first })
  }

  /** Its nodes are to go before the object does. */
  async #hold({ name, object }: KnownPool, signal: AbortSignal): Promise<void> {
    const finalizers = object?.metadata?.finalizers ?? []
    if (!object || finalizers.includes(poolFinalizer)) return
    await this.#patchFinalizers({ name, object }, [...finalizers, poolFinalizer], signal)
  }

  async #letGo(known: KnownPool | undefined, signal: AbortSignal): Promise<void> {
    const finalizers = known?.object?.metadata?.finalizers ?? []
    if (!known || !finalizers.includes(poolFinalizer)) return
    try {
      await this.#patchFinalizers(
        known,
        finalizers.filter((one) => one !== poolFinalizer),
        signal,
      )
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }

  async #patchFinalizers(
    { name, object }: Pick<KnownPool, 'name' | 'object'>,
    finalizers: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { resourceVersion } = object?.metadata ?? {}
    const body = { metadata: { resourceVersion, finalizers } }
    await this.#options.api.patch(virtualNodePools, { name }, { type: 'merge', body }, signal)
  }

  async #report(
    known: KnownPool | undefined,
    { wanted, blocked = [], ending }: { wanted: number; blocked?: readonly string[]; ending?: Ending },
    signal: AbortSignal,
  ): Promise<void> {
    const { api, clock, instance, budgetOf } = this.#options
    if (!known?.object) return
    const { name, object, config, problems } = known
    for (const problem of problems) {
      this.#voice.say(object, { type: 'Warning', reason: 'Refused', message: `spec.${problem}` })
    }
    const facts: PoolFacts = {
      instance,
      nodes: this.#members(name).map(finding),
      wanted,
      problems,
      cordoned: config?.cordoned ?? false,
      drained: config?.drained ?? false,
      deletion: !ending ? 'none' : ending.forced ? 'by force' : 'waits for its Pods',
      blocked,
      budget: budgetOf(name),
    }
    const why = noSandbox(facts)
    if (why === undefined) this.#voice.over(object, 'NoSandboxHandler')
    else this.#voice.say(object, { type: 'Warning', reason: 'NoSandboxHandler', message: why })
    const status = poolStatus(object, facts, clock.wallMs())
    if (!poolStatusDiffers(object.status, status)) return
    const patch = { type: 'merge', subresource: 'status', body: { status } } as const
    try {
      await api.patch(virtualNodePools, { name }, patch, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }
}

/** Undefined: it is to stay. The nodes of a pool whose object is gone without them are emptied, however long that takes. */
function endingOf(known: KnownPool | undefined): Ending | undefined {
  const { deletionTimestamp, annotations } = known?.object?.metadata ?? {}
  if (known && !deletionTimestamp) return undefined
  const forced = !known || annotations?.[forceDeleteAnnotation] === 'true'
  if (!forced || !deletionTimestamp) return { forced, noMercyFromMs: undefined }
  const timeoutSeconds = known?.config?.drainTimeoutSeconds ?? 0
  return { forced, noMercyFromMs: parseTimeMs(deletionTimestamp) + timeoutSeconds * 1000 }
}

function asPlanned({ ordinal, pods, retiring, cordoned }: MemberNode) {
  return { ordinal, pods: pods.filter((pod) => !isTerminal(pod)).length, retiring, cordoned }
}

function finding({ name, object, hosted, retiring, pods }: MemberNode): PoolFacts['nodes'][number] {
  const conditions = object?.status?.conditions ?? []
  const condition = conditions.find(({ type }) => type === 'Ready')
  return {
    name,
    ready: condition?.status === 'True',
    reason: hosted?.problem ?? condition?.message ?? 'not registered yet',
    sandbox: conditions.find(({ type }) => type === sandboxReadyCondition),
    retiring,
    pods: pods.filter((pod) => !isTerminal(pod)).length,
  }
}
