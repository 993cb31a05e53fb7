import { runController } from '../../control/controller.ts'
import { KeyQueue } from '../../control/queue.ts'
import type { Store, StoreChange } from '../../kube/api.ts'
import type { EventObject, EventSink } from '../../kube/events.ts'
import type { Clock } from '../../model/clock.ts'
import type { Namespace, Node, Pod } from '../../model/kubernetes.ts'
import { podRef } from '../../model/pod-key.ts'
import type { Log } from '../../telemetry/log.ts'
import { isOver, poolOf } from '../cluster-picture.ts'
import type { HeldBy } from '../judgement.ts'
import type { Budget } from './budget.ts'
import { budgetReports, nextThresholdMs, type BudgetReport } from './budget-report.ts'
import { BudgetVoice } from './budget-voice.ts'
import type { PricedPool } from './accounts.ts'
import { burstPictureOf } from './burst-picture.ts'
import type { BurstSource } from './burst-source.ts'

export interface LiveBudgetsOptions {
  readonly bursts: Pick<BurstSource, 'facts' | 'subscribe'> & {
    readonly held: readonly HeldBy[]
    expectThreshold(wallMs: number | undefined): void
  }
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly pools: () => readonly PricedPool[]
  /** What events about a pool are about; undefined: it is only in the configuration file. */
  readonly poolObject: (name: string) => EventObject | undefined
  /** Asks for the end of Pods as PodDisruptionBudgets allow. Answers what stands in the way, a sentence each. */
  readonly evict: (pods: readonly Pod[], signal: AbortSignal) => Promise<readonly string[]>
  readonly events: EventSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** Pods come and go in crowds. */
const settleMs = 200
/** Money moves all the time, whether anything changes or not. */
const againMs = 5_000

/**
 * How all budgets stand, as of the last look: after each reading of the ledger, which comes at once when the rates say
 * that a threshold is reached. Tells people of those of pools and namespaces, and ends what runs where one says so; for
 * policies keepPolicies does.
 */
export class LiveBudgets {
  readonly #options: LiveBudgetsOptions
  readonly #voice: BudgetVoice
  readonly #listeners = new Set<() => void>()
  #reports: readonly BudgetReport[] = []

  constructor(options: LiveBudgetsOptions) {
    this.#options = options
    this.#voice = new BudgetVoice(options.events)
  }

  get reports(): readonly BudgetReport[] {
    return this.#reports
  }

  /** Calls back after each look. Returns the end of the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Resolves when the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { bursts, pods, nodes, namespaces, clock, random, log } = this.#options
    const queue = new KeyQueue({ clock, concurrency: 1 })
    const onPod = ({ before, after }: StoreChange<Pod>): void => {
      const isSame =
        before && after && before.spec?.nodeName === after.spec?.nodeName && isOver(before) === isOver(after)
      if (!isSame) queue.add('pass', settleMs)
    }
    const ends = [
      bursts.subscribe(() => queue.add('pass')),
      pods.subscribe(onPod),
      namespaces.subscribe(() => queue.add('pass', settleMs)),
    ]
    try {
      await Promise.all([pods, nodes, namespaces].map((store) => store.whenSynced(signal)))
      queue.add('pass')
      const reconcile = async (_key: string, inner: AbortSignal) => {
        await this.#pass(inner)
        return { afterMs: againMs }
      }
      await runController({ name: 'budgets', queue, reconcile, clock, random, log }, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      for (const end of ends) end()
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { bursts, pods, nodes, namespaces, pools, clock } = this.#options
    const nowMs = clock.wallMs()
    const homes = new Map(namespaces.list().map((home) => [home.metadata?.name ?? '', home]))
    const objects = { pods: pods.list(), nodes: nodes.list(), namespaces: homes, pools: pools(), nowMs }
    const picture = burstPictureOf(bursts.facts(), objects)
    this.#reports = budgetReports(picture, { held: bursts.held, nowMs })
    bursts.expectThreshold(nextThresholdMs(this.#reports, nowMs))
    for (const report of this.#reports) {
      const object = this.#eventObject(report.budget, homes)
      if (object) this.#voice.tell(report, object)
    }
    for (const listener of this.#listeners) listener()
    for (const report of this.#reports) await this.#stop(report, objects.pods, signal)
  }

  /** Undefined: told elsewhere, or nobody could be told. */
  #eventObject({ owner }: Budget, homes: ReadonlyMap<string, Namespace>): EventObject | undefined {
    if (owner.kind === 'policy') return undefined
    if (owner.kind === 'pool') return this.#options.poolObject(owner.name)
    const uid = homes.get(owner.name)?.metadata?.uid
    return uid === undefined ? undefined : { apiVersion: 'v1', kind: 'Namespace', name: owner.name, uid }
  }

  /** What runs goes on when a cap is spent, unless the budget says `Stop`. */
  async #stop({ budget, reason }: BudgetReport, pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    const { owner, caps, title } = budget
    if (owner.kind === 'policy' || caps.atCap !== 'Stop' || reason !== 'CapSpent') return
    const { evict, events, log } = this.#options
    const victims = pods.filter((pod) => this.#isEndedBy(budget, pod))
    if (victims.length === 0) return
    const blocked = await evict(victims, signal)
    log.info({ budget: title, pods: victims.length, blocked: blocked.length }, 'Pods evicted at a cap')
    for (const pod of victims) {
      const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
      const message = `${title} is spent, and it says atCap Stop`
      events.record({ object, type: 'Warning', reason: 'SpendCapReached', message })
    }
  }

  #isEndedBy({ owner }: Budget, pod: Pod): boolean {
    if (isOver(pod) || pod.metadata?.deletionTimestamp) return false
    const node = this.#options.nodes.get({ name: pod.spec?.nodeName ?? '' })
    const pool = node && poolOf(node)
    if (pool === undefined || owner.kind === 'policy') return false
    return owner.kind === 'pool' ? owner.name === pool : owner.name === pod.metadata?.namespace
  }
}
