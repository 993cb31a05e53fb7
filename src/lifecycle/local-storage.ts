import type { Pod } from '../model/kubernetes.ts'
import type { PodUsage } from '../model/pod-usage.ts'
import { formatBytes, parseBytes } from '../model/quantity.ts'
import { podLimits } from '../model/resources.ts'

/** Whether the Pod has to be watched at all: measuring walks through directories. */
export function limitsLocalStorage(pod: Pod): boolean {
  return (
    podLimits(pod).ephemeralStorageBytes > 0n ||
    (pod.spec?.volumes ?? []).some(({ emptyDir }) => emptyDir && sizeLimitOf(emptyDir) > 0n)
  )
}

/**
 * Why the Pod has to go, in kubelet's words, or undefined while it keeps to its limits: an emptyDir over its sizeLimit,
 * the Pod over the sum of its containers' ephemeral-storage limits, then one container over its own
 * (pkg/kubelet/eviction/eviction_manager.go localStorageEviction). What is not measured uses nothing.
 */
export function localStorageExcess(pod: Pod, usage: PodUsage): string | undefined {
  return volumeExcess(pod, usage) ?? podExcess(pod, usage) ?? containerExcess(pod, usage)
}

function volumeExcess({ spec }: Pod, { volumes = [] }: PodUsage): string | undefined {
  for (const { name, emptyDir } of spec?.volumes ?? []) {
    if (!emptyDir) continue
    const limit = sizeLimitOf(emptyDir)
    const used = volumes.find((volume) => volume.name === name)?.usedBytes ?? 0n
    if (limit > 0n && used > limit)
      return `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir.sizeLimit}". `
  }
  return undefined
}

function podExcess(pod: Pod, usage: PodUsage): string | undefined {
  const limit = podLimits(pod).ephemeralStorageBytes
  if (limit === 0n) return undefined
  if (localBytes(usage) <= limit) return undefined
  return `Pod ephemeral local storage usage exceeds the total limit of containers ${formatBytes(limit)}. `
}

function containerExcess({ spec }: Pod, usage: PodUsage): string | undefined {
  for (const { name, resources } of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) {
    const limit = resources?.limits?.['ephemeral-storage']
    const seen = usage.containers.find((container) => container.name === name)
    if (limit !== undefined && seen && containerBytes(seen) > parseBytes(limit))
      return `Container ${name} exceeded its local ephemeral storage limit "${limit}". `
  }
  return undefined
}

/** All that the Pod keeps on the node's disk. */
export function localBytes({ containers, volumes = [], otherFiles }: PodUsage): bigint {
  const local = volumes.filter((volume) => volume.local)
  const parts = [...containers.map(containerBytes), ...local.map(({ usedBytes = 0n }) => usedBytes)]
  return parts.reduce((sum, bytes) => sum + bytes, otherFiles?.usedBytes ?? 0n)
}

/** Its writable layer and its logs. */
export function containerBytes({ root, logs }: PodUsage['containers'][number]): bigint {
  return (root?.usedBytes ?? 0n) + (logs?.usedBytes ?? 0n)
}

function sizeLimitOf({ sizeLimit }: { readonly sizeLimit?: string }): bigint {
  return sizeLimit === undefined ? 0n : parseBytes(sizeLimit)
}
