import type { ResourceRequirements } from '../../../model/kubernetes.ts'
import { formatBytes, formatCpu, parseBytes, parseCpuMillis } from '../../../model/quantity.ts'
import type { SandboxOverhead } from '../../../model/sandbox-overhead.ts'
import { cpuPeriodUs, type CpuMemory } from './linux-resources.ts'
import type { ContainerStatus } from '../runtime/cri-types.ts'

/**
 * What the runtime says that a container has (kuberuntime toKubeContainerResources). A memory request leaves no trace in
 * the runtime: it is the one that the container was given. Undefined when the runtime does not tell.
 */
export function containerInEffect(
  { resources }: Pick<ContainerStatus, 'resources'>,
  given: ResourceRequirements | undefined,
): ResourceRequirements | undefined {
  const linux = resources?.linux
  if (!linux) return undefined
  const memoryRequest = given?.requests?.['memory']
  const { requests, limits } = inEffect({
    cpuShares: Number(linux.cpuShares),
    cpuQuotaUs: quotaOf(Number(linux.cpuQuota), Number(linux.cpuPeriod)),
    memoryBytes: BigInt(linux.memoryLimitInBytes),
  })
  return { requests: { ...requests, ...(memoryRequest !== undefined && { memory: memoryRequest }) }, limits }
}

/** What the Pod's cgroup has, without what its sandbox was given over what the Pod asked for. */
export function podInEffect(
  { cpuShares, cpuQuotaUs = 0, memoryBytes = 0n }: CpuMemory,
  room?: SandboxOverhead,
): ResourceRequirements {
  return inEffect({ cpuShares, cpuQuotaUs, memoryBytes }, room)
}

interface Kernel {
  readonly cpuShares: number
  /** With a period of 100 ms. */
  readonly cpuQuotaUs: number
  readonly memoryBytes: bigint
}

// Of the kernel's least shares: what kubelet tells of a Pod that asks for nothing.
const leastMillis = 2n

function inEffect(
  { cpuShares, cpuQuotaUs, memoryBytes }: Kernel,
  room: SandboxOverhead = { cpu: '0', memory: '0' },
): {
  requests: Record<string, string>
  limits: Record<string, string>
} {
  const roomMillis = parseCpuMillis(room.cpu)
  // pkg/kubelet/cm SharesToMilliCPU and QuotaToMilliCPU: what cpuShares and cpuQuotaUs have rounded comes back exactly.
  const heldMillis = BigInt(Math.ceil((cpuShares * 1000) / 1024)) - roomMillis
  const requestMillis = roomMillis > 0n && heldMillis < leastMillis ? leastMillis : heldMillis
  const limitMillis = BigInt(Math.trunc((cpuQuotaUs * 1000) / cpuPeriodUs)) - roomMillis
  const limitBytes = memoryBytes - parseBytes(room.memory)
  return {
    requests: { ...(cpuShares > 0 && { cpu: formatCpu(requestMillis) }) },
    limits: {
      ...(limitMillis > 0n && { cpu: formatCpu(limitMillis) }),
      ...(limitBytes > 0n && { memory: formatBytes(limitBytes) }),
    },
  }
}

function quotaOf(quotaUs: number, periodUs: number): number {
  return periodUs > 0 && quotaUs > 0 ? (quotaUs * cpuPeriodUs) / periodUs : 0
}
