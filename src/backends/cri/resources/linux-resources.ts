import { qosClass } from '../../../lifecycle/qos.ts'
import type { Container, Pod } from '../../../model/kubernetes.ts'
import { parseBytes } from '../../../model/quantity.ts'
import {
  isSidecar,
  parseResources,
  podLimits,
  podRequests,
  type Resources,
} from '../../../model/resources.ts'
import type { HugepageLimit, LinuxResources } from '../runtime/cri-types.ts'
import type { Machine } from './machine.ts'
import { pageSizeName } from './page-size-name.ts'

export interface CpuMemory {
  readonly cpuShares: number
  /** With a period of 100 ms; absent: unlimited. */
  readonly cpuQuotaUs?: number
  /** Absent: unlimited. */
  readonly memoryBytes?: bigint
}

export const cpuPeriodUs = 100_000
// pkg/kubelet/cm/helpers_linux.go: the kernel's bounds of shares, and a millisecond as the least quota.
const leastShares = 2n
const mostShares = 262_144n
const leastQuotaUs = 1_000n

export function cpuShares(cpuMillis: bigint): number {
  const shares = (cpuMillis * 1024n) / 1000n
  return Number(shares < leastShares ? leastShares : shares > mostShares ? mostShares : shares)
}

export function cpuQuotaUs(cpuMillis: bigint): number {
  const quota = (cpuMillis * BigInt(cpuPeriodUs)) / 1000n
  return Number(quota < leastQuotaUs ? leastQuotaUs : quota)
}

/**
 * The limits of the Pod's own cgroup, as kubelet's ResourceConfigForPod: shares from the requests; a quota or a memory
 * limit only when every container declares one, else the sum would cap what is meant to be unlimited.
 */
export function podCgroupLimits(pod: Pod): CpuMemory {
  const requests = podRequests(pod)
  const limits = podLimits(pod)
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  const declared = containers.map((container) => parseResources(container.resources?.limits))
  const stated = parseResources(pod.spec?.resources?.limits)
  const cpuDeclared = stated.cpuMillis > 0n || declared.every((limit) => limit.cpuMillis > 0n)
  const memoryDeclared = stated.memoryBytes > 0n || declared.every((limit) => limit.memoryBytes > 0n)
  return {
    cpuShares: cpuShares(requests.cpuMillis),
    ...(cpuDeclared && { cpuQuotaUs: cpuQuotaUs(limits.cpuMillis) }),
    ...(memoryDeclared && { memoryBytes: limits.memoryBytes }),
  }
}

/**
 * What one container is given (kuberuntime_container_linux.go generateLinuxContainerResources): a limit left out is that
 * of the Pod as a whole, a CPU request left out is the limit. Swap it gets none, huge pages only what it has a limit for.
 */
export function containerResources(pod: Pod, container: Container, machine: Machine): LinuxResources {
  const ofPod = podLevelLimits(pod)
  const own = container.resources?.limits
  const limits = parseResources(own)
  const cpuMillis = limits.cpuMillis || ofPod.cpuMillis
  const memoryBytes = limits.memoryBytes || ofPod.memoryBytes
  const requested = container.resources?.requests?.['cpu']
  const shares = requested === undefined ? cpuMillis : parseResources({ cpu: requested }).cpuMillis
  const memoryLimit = memoryBytes > 0n ? String(memoryBytes) : undefined
  return {
    cpuShares: cpuShares(shares),
    cpuPeriod: cpuPeriodUs,
    ...(cpuMillis > 0n && { cpuQuota: cpuQuotaUs(cpuMillis) }),
    ...(memoryLimit !== undefined && { memoryLimitInBytes: memoryLimit }),
    oomScoreAdj: oomScoreAdjust(pod, container, machine.memoryBytes),
    hugepageLimits: hugepageLimits(machine.hugepageSizes, [ofPod.extended, limits.extended]),
    ...(machine.cgroupVersion === 1 &&
      machine.limitsSwap &&
      memoryLimit !== undefined && { memorySwapLimitInBytes: memoryLimit }),
    ...(machine.cgroupVersion === 2 && { unified: unifiedLimits(machine) }),
  }
}

/** What only v2 has: all of a container dies when one process of it is out of memory (singleProcessOOMKill: false). */
function unifiedLimits({ limitsSwap }: Machine): Readonly<Record<string, string>> {
  return { 'memory.oom.group': '1', ...(limitsSwap && { 'memory.swap.max': '0' }) }
}

/** Of every size that the machine has, since a size without a limit is unlimited. The last list that names it counts. */
function hugepageLimits(
  sizes: readonly string[],
  limits: readonly ReadonlyMap<string, bigint>[],
): HugepageLimit[] {
  const stated = new Map(
    limits
      .flatMap((list) => [...list])
      .filter(([name]) => name.startsWith('hugepages-'))
      .map(([name, bytes]) => [hugepageSize(name), bytes]),
  )
  return sizes.map((pageSize) => ({ pageSize, limit: String(stated.get(pageSize) ?? 0n) }))
}

/** `hugepages-2Mi` → `2MB`. */
function hugepageSize(resource: string): string {
  return pageSizeName(parseBytes(resource.replace(/^hugepages-/, '')))
}

function podLevelLimits(pod: Pod): Resources {
  return parseResources(pod.spec?.resources?.limits)
}

/** For RunPodSandbox: the sum without the overhead, for runtimes that size a virtual machine by it. */
export function sandboxResources(pod: Pod): LinuxResources {
  const { overhead: _overhead, ...spec } = pod.spec ?? { containers: [] }
  const limits = podCgroupLimits({ ...pod, spec })
  return {
    cpuShares: limits.cpuShares,
    cpuPeriod: cpuPeriodUs,
    ...(limits.cpuQuotaUs !== undefined && { cpuQuota: limits.cpuQuotaUs }),
    ...(limits.memoryBytes !== undefined && { memoryLimitInBytes: String(limits.memoryBytes) }),
  }
}

/** What the sandbox itself takes, by the Pod's RuntimeClass; undefined when it says nothing of that. */
export function sandboxOverhead({ spec }: Pod): LinuxResources | undefined {
  if (!spec?.overhead) return undefined
  const { cpuMillis, memoryBytes } = parseResources(spec.overhead)
  return {
    cpuShares: cpuShares(cpuMillis),
    cpuPeriod: cpuPeriodUs,
    ...(cpuMillis > 0n && { cpuQuota: cpuQuotaUs(cpuMillis) }),
    ...(memoryBytes > 0n && { memoryLimitInBytes: String(memoryBytes) }),
  }
}

const guaranteedScore = -997
const bestEffortScore = 1000

/** Who goes first when the machine is out of memory: pkg/kubelet/qos GetContainerOOMScoreAdjust. */
export function oomScoreAdjust(pod: Pod, container: Container, machineMemoryBytes: bigint): number {
  const critical = ['system-node-critical'].includes(pod.spec?.priorityClassName ?? '')
  const qos = qosClass(pod)
  if (critical || qos === 'Guaranteed') return guaranteedScore
  if (qos === 'BestEffort') return bestEffortScore
  const share = unclaimedShare(pod)
  let score = burstableScore(memoryRequest(container) + share, machineMemoryBytes)
  if (isSidecar(container)) {
    // A sidecar is not to die before those that it serves.
    const requests = (pod.spec?.containers ?? []).map(memoryRequest)
    const least = requests.reduce((a, b) => (a < b ? a : b), requests[0] ?? 0n)
    score = Math.min(score, burstableScore(least + share, machineMemoryBytes))
  }
  return Math.min(Math.max(score, 1000 + guaranteedScore), bestEffortScore - 1)
}

/** What the Pod as a whole requests beyond its containers counts for each of them alike. */
function unclaimedShare(pod: Pod): bigint {
  const { containers = [], initContainers = [], resources } = pod.spec ?? {}
  const whole = parseResources(resources?.requests).memoryBytes
  const unclaimed = whole - containerRequests(pod).memoryBytes
  return unclaimed > 0n ? unclaimed / BigInt(containers.length + initContainers.length) : 0n
}

function containerRequests({ spec, ...pod }: Pod): Resources {
  const { overhead: _overhead, resources: _resources, ...rest } = spec ?? { containers: [] }
  return podRequests({ ...pod, spec: rest })
}

function burstableScore(requestBytes: bigint, machineMemoryBytes: bigint): number {
  return 1000 - Number((1000n * requestBytes) / machineMemoryBytes)
}

function memoryRequest(container: Container): bigint {
  return parseResources({ ...container.resources?.limits, ...container.resources?.requests }).memoryBytes
}
