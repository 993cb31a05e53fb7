import type { KubeApi } from '../kube/api.ts'
import { nodes as nodeResource, pods as podResource } from '../kube/resources.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { inUseAnnotation, retiringAnnotation } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import { drainPods, mustBeDrained } from './drain-pods.ts'
import type { NodeHost } from './node-host.ts'
import { type MemberNode } from './pool-nodes.ts'

export interface RetireNodesOptions {
  /** As the controller. */
  readonly api: Pick<KubeApi, 'list' | 'patch' | 'delete' | 'createSubresource'>
  readonly host: Pick<NodeHost, 'stop'>
  readonly clock: Clock
  readonly log: Log
}

export interface Retirement {
  readonly nodes: readonly MemberNode[]
  /** Whether Pods are made to go; else they are waited for. */
  readonly evict: boolean
  /** Of a pool that is deleted by force: wall time from which PodDisruptionBudgets no longer count. */
  readonly noMercyFromMs: number | undefined
}

/** What has come of it so far. */
export interface RetirementState {
  readonly removed: readonly string[]
  /** Nodes that had to go although Pods are there that nobody could end. */
  readonly leftBehind: readonly string[]
  /** What stands in the way of evictions, a sentence each. */
  readonly blocked: readonly string[]
  /** Nodes that are not gone yet. */
  readonly waiting: number
}

/** A binding may be on its way to a node that is cordoned just now. */
const settledMs = 1_000
/** What a Pod gets beyond its own grace before its node goes all the same. */
const giveUpMs = 10_000

/** Empties nodes and takes them away once they are empty. Level-triggered: each pass does what can be done now. */
export class RetireNodes {
  readonly #options: RetireNodesOptions
  /** Monotonic, by node: since when the Node is cordoned, as we have seen it. */
  readonly #cordonedSinceMs = new Map<string, number>()
  /** UIDs of Nodes that are deleted, and that the watch may still show. */
  readonly #removed = new Set<string>()

  constructor(options: RetireNodesOptions) {
    this.#options = options
  }

  /** Nodes without those that have been removed: seen again, they would be taken for ones of an earlier process. */
  stillThere(nodes: readonly Node[]): readonly Node[] {
    if (this.#removed.size === 0) return nodes
    const shown = new Set(nodes.map(({ metadata }) => metadata?.uid))
    for (const uid of this.#removed) if (!shown.has(uid)) this.#removed.delete(uid)
    return nodes.filter(({ metadata }) => !this.#removed.has(metadata?.uid ?? ''))
  }

  async step(retirement: Retirement, signal: AbortSignal): Promise<RetirementState> {
    const { nodes } = retirement
    await this.#cordonUnserved(nodes, signal)
    const blocked = await this.#drain(retirement, signal)
    const removed: string[] = []
    const leftBehind: string[] = []
    for (const node of nodes) {
      const lost = this.#isLost(node, retirement)
      if (!lost && !(await this.#isEmpty(node, signal))) continue
      await this.#remove(node, signal)
      removed.push(node.name)
      if (lost) leftBehind.push(node.name)
    }
    return { removed, leftBehind, blocked, waiting: nodes.length - removed.length }
  }

  /** Ends Pods on nodes that stay: of a pool that is drained. */
  async drain(nodes: readonly MemberNode[], signal: AbortSignal): Promise<readonly string[]> {
    const pods = nodes.flatMap((node) => node.pods).filter((pod) => !isTerminal(pod))
    return await drainPods({ api: this.#options.api, pods, by: 'eviction' }, signal)
  }

  /** A node that is served cordons itself; one that nobody can be any more, its backend being gone, is cordoned here. */
  async #cordonUnserved(nodes: readonly MemberNode[], signal: AbortSignal): Promise<void> {
    const open = nodes.filter(({ hosted, object, cordoned }) => !hosted && object && !cordoned)
    for (const { name } of open) {
      const body = {
        metadata: { annotations: { [retiringAnnotation]: 'true' } },
        spec: { unschedulable: true },
      }
      await this.#options.api.patch(nodeResource, { name }, { type: 'merge', body }, signal)
    }
  }

  async #drain({ nodes, evict, noMercyFromMs }: Retirement, signal: AbortSignal): Promise<readonly string[]> {
    const { api, clock } = this.#options
    const cordoned = nodes.filter((node) => node.cordoned || !node.object)
    // What has ended only holds the node up, once nothing else does.
    const pods = cordoned.flatMap((node) => (evict || node.pods.every(isTerminal) ? node.pods : []))
    const by = noMercyFromMs !== undefined && clock.wallMs() >= noMercyFromMs ? 'delete' : 'eviction'
    return await drainPods({ api, pods, by }, signal)
  }

  /** Nobody can end its Pods: the backend is gone. The API server's garbage collection takes them with the node. */
  #isLost({ pods }: MemberNode, { noMercyFromMs }: Retirement): boolean {
    const now = this.#options.clock.wallMs()
    if (pods.length === 0 || noMercyFromMs === undefined || now < noMercyFromMs) return false
    return pods.every(({ metadata }) => {
      // Already counts the grace in.
      const due = metadata?.deletionTimestamp
      return due !== undefined && now >= parseTimeMs(due) + giveUpMs
    })
  }

  async #isEmpty({ name, object, cordoned, pods }: MemberNode, signal: AbortSignal): Promise<boolean> {
    const { api, clock } = this.#options
    if (!object) return pods.length === 0
    if (!cordoned) {
      this.#cordonedSinceMs.delete(name)
      return false
    }
    const since = this.#cordonedSinceMs.get(name) ?? clock.monotonicMs()
    this.#cordonedSinceMs.set(name, since)
    if (pods.length > 0 || clock.monotonicMs() - since < settledMs) return false
    const { items } = await api.list<Pod>(podResource, { fieldSelector: `spec.nodeName=${name}` }, signal)
    return !items.some(mustBeDrained)
  }

  async #remove({ name, object }: MemberNode, signal: AbortSignal): Promise<void> {
    const { api, host, log } = this.#options
    // First: it would make its Node anew.
    await host.stop(name)
    const { uid, annotations } = object?.metadata ?? {}
    try {
      // The admission policy of deletions goes by it, and whoever wrote it last has been stopped.
      if (uid && annotations?.[inUseAnnotation] !== 'false') {
        const body = { metadata: { uid, annotations: { [inUseAnnotation]: 'false' } } }
        await api.patch(nodeResource, { name }, { type: 'merge', body }, signal)
      }
      if (uid) await api.delete(nodeResource, { name }, { uid }, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound') && !hasCode(error, 'Conflict')) throw error
    }
    if (uid) this.#removed.add(uid)
    this.#cordonedSinceMs.delete(name)
    log.info({ node: name }, 'Node removed')
  }
}
