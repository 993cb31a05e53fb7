import type { Container, ContainerStatus, Pod, PodStatus, ResourceRequirements } from '../model/kubernetes.ts'
import type { ContainerObservation, PodObservation } from '../model/pod-observation.ts'
import { parseBytes, parseCpuMillis } from '../model/quantity.ts'
import { podLimits, podRequests, resourceList } from '../model/resources.ts'

// Below these the kernel cannot tell sizes apart (pkg/kubelet/cm MinShares, MinMilliCPULimit): what was asked is shown.
const leastCpuRequestMillis = 2n
const leastCpuLimitMillis = 10n

export interface ReportedContainerInput {
  /** With what was set aside for it. */
  readonly container: Pick<Container, 'resources'>
  readonly observed: ContainerObservation
  readonly previous: ContainerStatus | undefined
}

/**
 * What a container's status says of its size: what was set aside, and what is in effect (kubelet_pods.go
 * convertContainerStatusResources). Of a container that does not run, and of resources that the runtime does not tell
 * of, what was set aside stands for both.
 */
export function reportedContainerResources(
  input: ReportedContainerInput,
): Pick<ContainerStatus, 'resources' | 'allocatedResources'> {
  const allocated = input.container.resources ?? {}
  return {
    resources: input.observed.state.kind === 'running' ? inEffect(input, allocated) : allocated,
    ...(allocated.requests && { allocatedResources: allocated.requests }),
  }
}

function inEffect(
  { observed, previous }: ReportedContainerInput,
  allocated: ResourceRequirements,
): ResourceRequirements {
  const wasRunning = previous?.state?.running && previous.containerID === observed.containerId
  const before = wasRunning ? previous.resources : undefined
  if (!observed.resources && !before) return allocated
  const { requests, limits } = observed.resources ?? {}
  return {
    ...allocated,
    ...(allocated.limits && {
      limits: {
        ...allocated.limits,
        ...toldCpu(limits ?? before?.limits, allocated.limits, leastCpuLimitMillis),
        ...toldMemory(limits ?? before?.limits),
      },
    }),
    ...(allocated.requests && {
      requests: {
        ...allocated.requests,
        ...toldCpu(requests ?? before?.requests, allocated.requests, leastCpuRequestMillis),
        ...toldMemory(requests ?? before?.requests),
      },
    }),
  }
}

/**
 * What the status says of the Pod as a whole (kubelet_pods.go convertToAPIPodLevelResourcesStatus), for every Pod, also
 * one that states nothing as a whole: the scheduler counts by it. `pod` with what was set aside for it.
 */
export function reportedPodResources(
  pod: Pod,
  observed: Pick<PodObservation, 'resources'>,
  previous: PodStatus,
): Pick<PodStatus, 'resources' | 'allocatedResources'> {
  const requests = resourceList(podRequests(pod))
  const allocated = filled(requests) ? { allocatedResources: requests } : {}
  if (previous.phase !== 'Running' || !observed.resources) {
    const limits = resourceList(podLimits(pod))
    return { ...allocated, resources: { ...pod.spec?.resources, ...lists(requests, limits) } }
  }
  const stated = pod.spec?.resources
  const { requests: heldRequests = {}, limits: heldLimits = {} } = observed.resources
  return {
    ...allocated,
    resources: {
      ...stated,
      ...lists(
        {
          ...pick(requests, 'memory'),
          ...stated?.requests,
          ...toldCpu(heldRequests, stated?.requests ?? {}, leastCpuRequestMillis),
        },
        {
          ...stated?.limits,
          ...toldCpu(heldLimits, stated?.limits ?? {}, leastCpuLimitMillis),
          ...toldMemory(heldLimits),
        },
      ),
    },
  }
}

type ResourceList = Record<string, string>

function toldCpu(told: ResourceList | undefined, allocated: ResourceList, leastMillis: bigint): ResourceList {
  const cpu = told?.['cpu']
  if (cpu === undefined) return {}
  const asked = parseCpuMillis(allocated['cpu'] ?? '0')
  return parseCpuMillis(cpu) > leastMillis || asked > leastMillis ? { cpu } : {}
}

function toldMemory(told: ResourceList | undefined): ResourceList {
  const memory = told?.['memory']
  return memory === undefined || parseBytes(memory) === 0n ? {} : { memory }
}

function lists(requests: ResourceList, limits: ResourceList): ResourceRequirements {
  return { ...(filled(requests) && { requests }), ...(filled(limits) && { limits }) }
}

function pick(list: ResourceList, name: string): ResourceList {
  const value = list[name]
  return value === undefined ? {} : { [name]: value }
}

function filled(list: ResourceList): boolean {
  return Object.keys(list).length > 0
}
