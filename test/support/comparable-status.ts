import type { Pod } from '../../src/model/kubernetes.ts'

const differing = new Set(['containerID', 'hostIP', 'ip', 'podIP'])
/** "Unlimited" as cgroup v1 has it, in pages: the real kubelet takes it for a limit of the Pod's. */
const noLimit = '9007199254740988Ki'

/**
 * Without what differs from one Pod to the next: times, addresses and ids. Conditions by type. Of an image that was
 * pulled under several names containerd tells any, and the two nodes' were not asked for the same.
 */
export function comparableStatus(pod: Pod | undefined): unknown {
  const status = JSON.parse(JSON.stringify(pod?.status ?? {}), (key, value: unknown) => {
    if (value === null) return undefined
    if (key === 'limits' && (value as Record<string, string>)['memory'] === noLimit) return undefined
    if (typeof value !== 'string') return value
    if (key === 'image' || key === 'imageID') return value.replace(/^.*\/(?=library\/)/, '')
    if (value.startsWith('kube-api-access-')) return 'kube-api-access-…'
    if (differing.has(key) || /(At|Time)$/.test(key)) return `<${key}>`
    return value
  }) as { conditions?: { type: string }[]; phase?: string; resources?: unknown }
  // Of a Pod that is over kubelet tells what it last read of a cgroup that was being taken down.
  if (status.phase === 'Succeeded' || status.phase === 'Failed') delete status.resources
  status.conditions?.sort((a, b) => a.type.localeCompare(b.type))
  return sorted(status)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const)
  return Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b)))
}
