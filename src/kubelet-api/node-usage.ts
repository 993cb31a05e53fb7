import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { BackendUsage, CpuUsage, MemoryUsage, PodUsage, UsageOptions } from '../model/pod-usage.ts'

/** What one virtual node uses: no server is behind it, so that it is what its Pods use, together. */
export interface NodeReading extends BackendUsage {
  readonly nodeName: string
  /** Since when the node's CPU time is counted. */
  readonly startedAtMs: number
  readonly atMs: number
  readonly cpu: CpuUsage
  readonly memory: MemoryUsage
}

export interface NodeUsageOptions {
  readonly nodeName: string
  /** The node's own, not the machine's. */
  readonly memoryBytes: () => bigint
  readonly backend: Pick<Backend, 'usage'>
  readonly clock: Clock
}

/** Reads what a node uses, and keeps the one thing that has to be kept: CPU time must never go back. */
export class NodeUsage {
  readonly #options: NodeUsageOptions
  readonly #startedAtMs: number
  readonly #cpuTime = new CpuTime()

  constructor(options: NodeUsageOptions) {
    this.#options = options
    this.#startedAtMs = options.clock.wallMs()
  }

  async read(options: UsageOptions, signal: AbortSignal): Promise<NodeReading> {
    const { backend, nodeName, clock, memoryBytes } = this.#options
    const usage = await backend.usage(options, signal)
    const atMs = clock.wallMs()
    const pods = usage.pods.filter((pod) => pod.nodeName === nodeName)
    const rateNanos = sum(pods, ({ cpu }) => cpu?.rateNanos)
    return {
      ...usage,
      pods,
      nodeName,
      startedAtMs: this.#startedAtMs,
      atMs,
      cpu: { atMs, totalNanos: this.#cpuTime.add(pods), rateNanos },
      memory: nodeMemory(pods, atMs, memoryBytes()),
    }
  }
}

/**
 * The CPU time of a node's Pods, those that are gone included: metrics-server takes a counter that went back for a
 * restart and shows nothing until the next round. What a Pod used after the last reading before its end is not in it,
 * and nothing of a Pod that came and went between two readings.
 */
class CpuTime {
  #totalNanos = 0n
  #seen = new Map<PodUid, bigint>()

  add(pods: readonly PodUsage[]): bigint {
    const seen = new Map<PodUid, bigint>()
    for (const { uid, cpu } of pods) {
      const before = this.#seen.get(uid) ?? 0n
      const now = cpu?.totalNanos ?? before
      // A new sandbox counts from zero again.
      this.#totalNanos += now >= before ? now - before : now
      seen.set(uid, now)
    }
    this.#seen = seen
    return this.#totalNanos
  }
}

function nodeMemory(pods: readonly PodUsage[], atMs: number, capacityBytes: bigint): MemoryUsage {
  const workingSetBytes = sum(pods, ({ memory }) => memory?.workingSetBytes)
  return {
    atMs,
    workingSetBytes,
    availableBytes: capacityBytes > workingSetBytes ? capacityBytes - workingSetBytes : 0n,
    usageBytes: sum(pods, ({ memory }) => memory?.usageBytes),
    rssBytes: sum(pods, ({ memory }) => memory?.rssBytes),
    pageFaults: sum(pods, ({ memory }) => memory?.pageFaults),
    majorPageFaults: sum(pods, ({ memory }) => memory?.majorPageFaults),
  }
}

export function sum(pods: readonly PodUsage[], amountOf: (pod: PodUsage) => bigint | undefined): bigint {
  return pods.reduce((total, pod) => total + (amountOf(pod) ?? 0n), 0n)
}
