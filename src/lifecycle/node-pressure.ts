import type { Node, Pod } from '../model/kubernetes.ts'
import { isCritical } from './critical-pod.ts'
import { qosClass } from './qos.ts'
import { tolerates } from './tolerations.ts'

const pressures: ReadonlySet<string> = new Set(['MemoryPressure', 'DiskPressure', 'PIDPressure'])

const memoryTaint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' }

/**
 * Why a node that is short of something takes the Pod not, in kubelet's words (pkg/kubelet/eviction Admit); undefined
 * when it does. Memory alone keeps off only who asks for none and does not say that it can do with that.
 */
export function pressureRefusal(pod: Pod, node: Node): string | undefined {
  const found = (node.status?.conditions ?? [])
    .filter(({ type, status }) => pressures.has(type) && status === 'True')
    .map(({ type }) => type)
  if (found.length === 0 || isCritical(pod)) return undefined
  if (found.every((type) => type === 'MemoryPressure') && copesWithoutMemory(pod)) return undefined
  return `The node had condition: [${found.join(' ')}]. `
}

function copesWithoutMemory(pod: Pod): boolean {
  const tolerations = pod.spec?.tolerations ?? []
  return (
    qosClass(pod) !== 'BestEffort' || tolerations.some((toleration) => tolerates(toleration, memoryTaint))
  )
}
