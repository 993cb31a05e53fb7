import type { PoolConfig } from '../config/pool.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import type { Clock } from '../model/clock.ts'
import type { Pod } from '../model/kubernetes.ts'
import { add, boundPodRequests, noResources, parseResources, podRequests } from '../model/resources.ts'
import { type MemberNode } from './pool-nodes.ts'
import { wantedNodes, type PoolLoad } from './wanted-nodes.ts'

export interface PoolSizeOptions {
  /** Pods that find no room and that nodes of the pool would take. */
  readonly waitingFor: (pool: string) => readonly Pod[]
  readonly clock: Clock
}

/** How many nodes autoscaled pools are to have; remembers for how long nodes have been empty. */
export class PoolSize {
  readonly #options: PoolSizeOptions
  /** Monotonic, by node. Lost with the process: then the quiet time begins anew. */
  readonly #emptySinceMs = new Map<string, number>()
  /** Monotonic, by pool: when it was last said how many it is to have. */
  readonly #judgedMs = new Map<string, number>()

  constructor(options: PoolSizeOptions) {
    this.#options = options
  }

  /** Undefined: the pool does not follow its load. */
  wanted({ name, autoscale, replicas }: PoolConfig, members: readonly MemberNode[]): number | undefined {
    if (!autoscale) return undefined
    const nowMs = this.#options.clock.monotonicMs()
    this.#judgedMs.set(name, nowMs)
    this.#remember(members, nowMs)
    const staying = members.filter(({ retiring }) => !retiring)
    const capacity = staying.map(({ object }) => object?.status?.allocatable).find((found) => found)
    // Before the first node is registered nobody knows what one holds.
    if (!capacity) {
      const first = this.#options.waitingFor(name).length > 0 ? 1 : 0
      return Math.min(Math.max(replicas, autoscale.minNodes, first), autoscale.maxNodes)
    }
    const { cpuMillis, memoryBytes } = parseResources(capacity)
    const load: PoolLoad = {
      nodes: staying.length,
      nodeCapacity: { cpuMillis, memoryBytes, pods: Number(capacity['pods'] ?? 0) },
      requested: requestsOf(
        staying.flatMap(({ pods }) => pods),
        this.#options.waitingFor(name),
      ),
      idleNodes: staying.filter((node) => this.#idleForMs(node, nowMs) >= autoscale.idleSeconds * 1000)
        .length,
    }
    return wantedNodes(autoscale, load)
  }

  /**
   * Milliseconds until the next node has been empty for long enough, of those that had not been when that was last judged: one
   * that became so meanwhile is judged at once, or nobody would look again.
   */
  dueMs({ name, autoscale }: PoolConfig, members: readonly MemberNode[]): number | undefined {
    if (!autoscale) return undefined
    const nowMs = this.#options.clock.monotonicMs()
    const judgedMs = this.#judgedMs.get(name) ?? nowMs
    const waits = members
      .map((node) => autoscale.idleSeconds * 1000 - this.#idleForMs(node, judgedMs))
      .filter((waitMs) => waitMs > 0)
    return waits.length > 0 ? Math.max(Math.min(...waits) - (nowMs - judgedMs), 1) : undefined
  }

  #remember(members: readonly MemberNode[], nowMs: number): void {
    for (const { name, pods } of members) {
      if (pods.some((pod) => !isTerminal(pod))) this.#emptySinceMs.delete(name)
      else if (!this.#emptySinceMs.has(name)) this.#emptySinceMs.set(name, nowMs)
    }
  }

  #idleForMs({ name }: MemberNode, nowMs: number): number {
    return nowMs - (this.#emptySinceMs.get(name) ?? nowMs)
  }
}

function requestsOf(bound: readonly Pod[], waiting: readonly Pod[]): PoolLoad['requested'] {
  const running = bound.filter((pod) => !isTerminal(pod))
  const requests = [...running.map(boundPodRequests), ...waiting.map(podRequests)]
  const { cpuMillis, memoryBytes } = requests.reduce(add, noResources)
  return { cpuMillis, memoryBytes, pods: requests.length }
}
