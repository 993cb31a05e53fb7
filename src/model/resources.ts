import type { Container, ContainerStatus, Pod, PodSpec, ResourceRequirements } from './kubernetes.ts'
import { compareQuantities, formatBytes, formatCpu, parseBytes, parseCpuMillis } from './quantity.ts'

/** What a Pod asks for, or a node has. Everything that is not cpu, memory or ephemeral-storage is in `extended`. */
export interface Resources {
  readonly cpuMillis: bigint
  readonly memoryBytes: bigint
  readonly ephemeralStorageBytes: bigint
  /** By resource name, in whole units: `nvidia.com/gpu`, `hugepages-2Mi`, `attachable-volumes-…`. */
  readonly extended: ReadonlyMap<string, bigint>
}

export const noResources: Resources = {
  cpuMillis: 0n,
  memoryBytes: 0n,
  ephemeralStorageBytes: 0n,
  extended: new Map(),
}

type ResourceList = Readonly<Record<string, string>>

/** A Kubernetes ResourceList. `pods` is left out: it is counted apart. */
export function parseResources(list: ResourceList | undefined): Resources {
  const extended = new Map<string, bigint>()
  for (const [name, quantity] of Object.entries(list ?? {})) {
    if (!['cpu', 'memory', 'ephemeral-storage', 'pods'].includes(name))
      extended.set(name, parseBytes(quantity))
  }
  return {
    cpuMillis: parseCpuMillis(list?.['cpu'] ?? '0'),
    memoryBytes: parseBytes(list?.['memory'] ?? '0'),
    ephemeralStorageBytes: parseBytes(list?.['ephemeral-storage'] ?? '0'),
    extended,
  }
}

/** As a Kubernetes ResourceList, without what is not there. */
export function resourceList(resources: Resources): Record<string, string> {
  const { cpuMillis, memoryBytes, ephemeralStorageBytes, extended } = resources
  return {
    ...(cpuMillis > 0n && { cpu: formatCpu(cpuMillis) }),
    ...(memoryBytes > 0n && { memory: formatBytes(memoryBytes) }),
    ...(ephemeralStorageBytes > 0n && { 'ephemeral-storage': formatBytes(ephemeralStorageBytes) }),
    ...Object.fromEntries(
      [...extended].filter(([, amount]) => amount > 0n).map(([name, amount]) => [name, formatBytes(amount)]),
    ),
  }
}

/** Joins two amounts resource by resource. */
export function combine(a: Resources, b: Resources, join: (x: bigint, y: bigint) => bigint): Resources {
  const extended = new Map<string, bigint>()
  for (const name of new Set([...a.extended.keys(), ...b.extended.keys()])) {
    extended.set(name, join(a.extended.get(name) ?? 0n, b.extended.get(name) ?? 0n))
  }
  return {
    cpuMillis: join(a.cpuMillis, b.cpuMillis),
    memoryBytes: join(a.memoryBytes, b.memoryBytes),
    ephemeralStorageBytes: join(a.ephemeralStorageBytes, b.ephemeralStorageBytes),
    extended,
  }
}

export function add(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => x + y)
}

export function subtract(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => x - y)
}

export function maximum(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => (x > y ? x : y))
}

/** Names of the resources of which `wanted` is more than `free`; of what is not wanted nothing is said. */
export function shortages(wanted: Resources, free: Resources): string[] {
  const short: string[] = []
  if (wanted.cpuMillis > 0n && wanted.cpuMillis > free.cpuMillis) short.push('cpu')
  if (wanted.memoryBytes > 0n && wanted.memoryBytes > free.memoryBytes) short.push('memory')
  if (wanted.ephemeralStorageBytes > 0n && wanted.ephemeralStorageBytes > free.ephemeralStorageBytes) {
    short.push('ephemeral-storage')
  }
  for (const [name, amount] of wanted.extended) {
    if (amount > 0n && amount > (free.extended.get(name) ?? 0n)) short.push(name)
  }
  return short
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

/**
 * What the scheduler counts for a Pod that has no node yet: k8s.io/component-helpers/resource PodRequests. The larger
 * of all containers and sidecars together, and of the peak while the init containers run one after the other (each
 * beside the sidecars that started before it); what the Pod requests as a whole takes the place of that; overhead on
 * top.
 */
export function podRequests(pod: Pod): Resources {
  const known = pod.spec && requestsBySpec.get(pod.spec)
  if (known) return known
  const requests = withWholeRequests(pod, sumOfContainers(pod, requestsOf), pod.spec?.resources)
  if (pod.spec) requestsBySpec.set(pod.spec, requests)
  return requests
}

/** Objects of the API are never changed in place, and each Pod is held against every node again and again. */
const requestsBySpec = new WeakMap<PodSpec, Resources>()

/**
 * What the scheduler counts for a Pod on a node. While a resize is under way the Pod holds the largest of what it
 * asks for, was allocated and has in effect; what it asks for does not count once the node called it infeasible.
 */
export function boundPodRequests(pod: Pod): Resources {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]
  // A sum is made three times only for the Pods that can differ: this runs for every Pod of the cluster.
  if (!statuses.some((status) => status.allocatedResources ?? status.resources)) return podRequests(pod)
  const infeasible = (pod.status?.conditions ?? []).some(
    ({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible',
  )
  const asked = (container: Container): Resources => (infeasible ? noResources : requestsOf(container))
  const status = (container: Container): ContainerStatus | undefined =>
    statuses.find(({ name }) => name === container.name)
  const allocated = (container: Container): Resources => {
    const list = status(container)?.allocatedResources
    return list ? parseResources(list) : asked(container)
  }
  const inEffect = (container: Container): Resources => {
    const list = status(container)?.resources?.requests
    return list ? parseResources(list) : allocated(container)
  }
  const sums = [asked, allocated, inEffect].map((read) => sumOfContainers(pod, read))
  return withWholeRequests(pod, sums.reduce(maximum), boundWhole(pod, infeasible))
}

/** What the Pod as a whole holds, by the same rule; the node tells of it in the status since 1.36. */
function boundWhole({ spec, status }: Pod, infeasible: boolean): ResourceRequirements | undefined {
  const asked = spec?.resources
  if (!asked?.requests || !status?.resources) return asked
  const lists = [
    infeasible ? {} : asked.requests,
    status.resources.requests ?? {},
    status.allocatedResources ?? {},
  ]
  const requests: Record<string, string> = {}
  for (const name of Object.keys(asked.requests)) {
    const amounts = lists.flatMap((list) => list[name] ?? []).sort((a, b) => compareQuantities(b, a))
    if (amounts[0] !== undefined) requests[name] = amounts[0]
  }
  return { ...asked, requests }
}

/** The same sum over limits: what a Pod may take at most. Resources without a limit count as 0. */
export function podLimits(pod: Pod): Resources {
  const ofContainers = sumOfContainers(pod, ({ resources }) => parseResources(resources?.limits))
  const limits = replace(ofContainers, pod.spec?.resources?.limits)
  const overhead = parseResources(pod.spec?.overhead)
  // Overhead on top of no limit would be a limit.
  return combine(limits, overhead, (limit, extra) => (limit === 0n ? 0n : limit + extra))
}

function sumOfContainers(pod: Pod, read: (container: Container) => Resources): Resources {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  let running = containers.reduce((sum, container) => add(sum, read(container)), noResources)
  let sidecars = noResources
  let initPeak = noResources
  for (const container of initContainers) {
    const own = read(container)
    if (isSidecar(container)) {
      sidecars = add(sidecars, own)
      running = add(running, own)
      initPeak = maximum(initPeak, sidecars)
    } else {
      initPeak = maximum(initPeak, add(own, sidecars))
    }
  }
  return maximum(running, initPeak)
}

/** The API server defaults a missing request to the limit; objects that never went through it are read the same. */
function requestsOf({ resources }: Container): Resources {
  return parseResources({ ...resources?.limits, ...resources?.requests })
}

function withWholeRequests(
  pod: Pod,
  ofContainers: Resources,
  whole: ResourceRequirements | undefined,
): Resources {
  const limits = { ...whole?.limits }
  // The API server fills a missing request of the whole with the containers' sum, and only when there is none with
  // the limit (pkg/apis/core/v1 defaultPodRequests); objects that never went through it are read the same.
  if (ofContainers.cpuMillis > 0n) delete limits['cpu']
  if (ofContainers.memoryBytes > 0n) delete limits['memory']
  const stated = replace(ofContainers, { ...limits, ...whole?.requests })
  return add(stated, parseResources(pod.spec?.overhead))
}

/** The Pod as a whole may state cpu, memory and huge pages only; each stands in for its containers' sum. */
function replace(base: Resources, list: ResourceList | undefined): Resources {
  if (!list) return base
  const stated = parseResources(list)
  const extended = new Map(base.extended)
  for (const [name, amount] of stated.extended) {
    if (name.startsWith('hugepages-')) extended.set(name, amount)
  }
  return {
    cpuMillis: 'cpu' in list ? stated.cpuMillis : base.cpuMillis,
    memoryBytes: 'memory' in list ? stated.memoryBytes : base.memoryBytes,
    ephemeralStorageBytes: base.ephemeralStorageBytes,
    extended,
  }
}
