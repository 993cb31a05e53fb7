import type { Pod, ResourceRequirements } from '../model/kubernetes.ts'
import { parseResources } from '../model/resources.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

/**
 * The Pod's quality of service class (pkg/apis/core/v1/helper/qos): by what the Pod states as a whole, else by its
 * containers, init containers included. Only cpu and memory count. The class never changes after creation, so the one
 * in the status, which the API server sets, wins.
 */
export function qosClass(pod: Pod): QosClass {
  const known = pod.status?.qosClass
  if (known === 'Guaranteed' || known === 'Burstable' || known === 'BestEffort') return known
  const { resources, initContainers = [], containers = [] } = pod.spec ?? {}
  if (statesAnything(resources)) return requirementsClass(resources)
  const classes = new Set(
    [...initContainers, ...containers].map((container) => requirementsClass(container.resources)),
  )
  const [first = 'BestEffort', ...others] = classes
  return others.length > 0 ? 'Burstable' : first
}

function statesAnything(requirements: ResourceRequirements | undefined): boolean {
  const names = [...Object.keys(requirements?.requests ?? {}), ...Object.keys(requirements?.limits ?? {})]
  return names.some((name) => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-'))
}

function requirementsClass(requirements: ResourceRequirements | undefined): QosClass {
  const requests = parseResources(requirements?.requests)
  const limits = parseResources(requirements?.limits)
  const equal = requests.cpuMillis === limits.cpuMillis && requests.memoryBytes === limits.memoryBytes
  if (!equal) return 'Burstable'
  const cpu = limits.cpuMillis > 0n
  const memory = limits.memoryBytes > 0n
  if (cpu && memory) return 'Guaranteed'
  return cpu || memory ? 'Burstable' : 'BestEffort'
}
