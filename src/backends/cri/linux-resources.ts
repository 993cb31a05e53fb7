import { qosClass } from '../../lifecycle/qos.ts'
import type { Container, Pod } from '../../model/kubernetes.ts'
import { isSidecar, parseResources, podLimits, podRequests } from '../../model/resources.ts'
import type { LinuxResources } from './cri-types.ts'

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

/** What one container is given; a CPU request left out is its limit. */
export function containerResources(
  pod: Pod,
  container: Container,
  machineMemoryBytes: bigint,
): LinuxResources {
  const limits = parseResources(container.resources?.limits)
  const requests = parseResources({ ...container.resources?.limits, ...container.resources?.requests })
  return {
    cpuShares: cpuShares(requests.cpuMillis),
    cpuPeriod: cpuPeriodUs,
    ...(limits.cpuMillis > 0n && { cpuQuota: cpuQuotaUs(limits.cpuMillis) }),
    ...(limits.memoryBytes > 0n && { memoryLimitInBytes: String(limits.memoryBytes) }),
    oomScoreAdj: oomScoreAdjust(pod, container, machineMemoryBytes),
  }
}

/** For RunPodSandbox: the sum, for runtimes that size a virtual machine by it. */
export function sandboxResources(pod: Pod): LinuxResources {
  const limits = podCgroupLimits(pod)
  return {
    cpuShares: limits.cpuShares,
    cpuPeriod: cpuPeriodUs,
    ...(limits.cpuQuotaUs !== undefined && { cpuQuota: limits.cpuQuotaUs }),
    ...(limits.memoryBytes !== undefined && { memoryLimitInBytes: String(limits.memoryBytes) }),
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
  let score = burstableScore(memoryRequest(container), machineMemoryBytes)
  if (isSidecar(container)) {
    // A sidecar is not to die before those that it serves.
    const requests = (pod.spec?.containers ?? []).map(memoryRequest)
    const least = requests.reduce((a, b) => (a < b ? a : b), requests[0] ?? 0n)
    score = Math.min(score, burstableScore(least, machineMemoryBytes))
  }
  return Math.min(Math.max(score, 1000 + guaranteedScore), bestEffortScore - 1)
}

function burstableScore(requestBytes: bigint, machineMemoryBytes: bigint): number {
  return 1000 - Number((1000n * requestBytes) / machineMemoryBytes)
}

function memoryRequest(container: Container): bigint {
  return parseResources({ ...container.resources?.limits, ...container.resources?.requests }).memoryBytes
}
