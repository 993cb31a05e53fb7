import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerUsage, PodUsage } from '../model/pod-usage.ts'
import { formatBytes, formatCount, parseBytes } from '../model/quantity.ts'
import { podRequests } from '../model/resources.ts'
import type { Shortage, ShortResource } from '../model/shortage.ts'
import { isCritical } from './critical-pod.ts'
import { containerBytes, localBytes } from './local-storage.ts'

export interface MeasuredPod {
  readonly pod: Pod
  /** Undefined: nothing was measured, as of a Pod that has just begun. */
  readonly usage: PodUsage | undefined
}

/**
 * Which Pod has to go when the node is short of something, in kubelet's order (pkg/kubelet/eviction/helpers.go
 * rankMemoryPressure, rankDiskPressureFunc, rankPIDPressure): who uses more than it asked for, then the lower priority,
 * then who is further over. Undefined when none may go. Unlike with kubelet, who was not measured goes last, not first:
 * that is mostly one that has just begun, and has nothing to give back.
 */
export function whoGoesFirst<P extends MeasuredPod>(
  pods: readonly P[],
  { resource }: Pick<Shortage, 'resource'>,
): P | undefined {
  const [first] = pods
    .filter(({ pod }) => !isCritical(pod))
    .map((measured) => ({ measured, ...standing(measured, resource) }))
    .sort(
      (a, b) =>
        Number(a.isUnknown) - Number(b.isUnknown) ||
        Number(b.isOver) - Number(a.isOver) ||
        a.priority - b.priority ||
        sign(b.excess - a.excess),
    )
  return first?.measured
}

interface Standing {
  readonly isUnknown: boolean
  readonly isOver: boolean
  readonly priority: number
  readonly excess: bigint
}

function standing({ pod, usage }: MeasuredPod, resource: ShortResource): Standing {
  const used = usage && usedBy(usage, resource)
  const excess = (used ?? 0n) - requestOf(pod, resource)
  // Nobody asks for process ids, so that nobody is over.
  const isOver = resource !== 'pids' && excess > 0n
  return { isUnknown: used === undefined, isOver, priority: pod.spec?.priority ?? 0, excess }
}

function usedBy(usage: PodUsage, resource: ShortResource): bigint | undefined {
  switch (resource) {
    case 'memory':
      return usage.memory?.workingSetBytes
    case 'ephemeral-storage':
      return localBytes(usage)
    case 'inodes':
      return localInodes(usage)
    case 'pids':
      return usage.processes
  }
}

function localInodes({ containers, volumes = [] }: PodUsage): bigint {
  const parts = [
    ...containers.flatMap(({ root, logs }) => [root, logs]),
    ...volumes.filter(({ local }) => local),
  ]
  return parts.reduce((sum, part) => sum + (part?.usedInodes ?? 0n), 0n)
}

function requestOf(pod: Pod, resource: ShortResource): bigint {
  const { memoryBytes, ephemeralStorageBytes } = podRequests(pod)
  if (resource === 'memory') return memoryBytes
  return resource === 'ephemeral-storage' ? ephemeralStorageBytes : 0n
}

/** Why that Pod had to go, in kubelet's words (evictionMessage). */
export function shortageMessage({ pod, usage }: MeasuredPod, shortage: Shortage): string {
  const { resource, least, available } = shortage
  const amount = resource === 'inodes' || resource === 'pids' ? formatCount : formatBytes
  const low = `The node was low on resource: ${resource}. Threshold quantity: ${amount(least)}, available: ${amount(available)}. `
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  const specs = new Map([...initContainers, ...containers].map((container) => [container.name, container]))
  const blamed = (usage?.containers ?? []).map((seen) => blame(specs.get(seen.name), seen, resource))
  return low + podBlame(pod, usage, resource) + blamed.join('')
}

/** Of a Pod that has a size of its own beside its containers'. */
function podBlame(pod: Pod, usage: PodUsage | undefined, resource: ShortResource): string {
  const request = resource === 'memory' ? pod.spec?.resources?.requests?.['memory'] : undefined
  const used = usage?.memory?.workingSetBytes
  if (request === undefined || used === undefined) return ''
  return `Pod ${pod.metadata?.name} was using ${formatBytes(used)}, request is ${request}, has larger consumption of ${resource}. `
}

function blame(container: Container | undefined, seen: ContainerUsage, resource: ShortResource): string {
  const used = containerUse(seen, resource)
  if (!container || used === undefined) return ''
  const request = container.resources?.requests?.[resource] ?? '0'
  if (used <= parseBytes(request)) return ''
  return `Container ${container.name} was using ${formatBytes(used)}, request is ${request}, has larger consumption of ${resource}. `
}

function containerUse(seen: ContainerUsage, resource: ShortResource): bigint | undefined {
  if (resource === 'memory') return seen.memory?.workingSetBytes
  return resource === 'ephemeral-storage' ? containerBytes(seen) : undefined
}

function sign(value: bigint): number {
  if (value === 0n) return 0
  return value < 0n ? -1 : 1
}
