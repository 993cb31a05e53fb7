import type { Container, Pod, ResourceRequirements } from './kubernetes.ts'
import { parseBytes, parseCpuMillis } from './quantity.ts'

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
 * What the scheduler counts for a Pod: k8s.io/component-helpers/resource PodRequests. The larger of all containers
 * and sidecars together, and of the peak while the init containers run one after the other (each beside the sidecars
 * that started before it); what the Pod states as a whole takes the place of that; overhead on top.
 */
export function podRequests(pod: Pod): Resources {
  return podTotal(pod, (requirements) => withDefaultRequests(requirements))
}

/** The same sum over limits: what a Pod may take at most. Resources without a limit count as 0. */
export function podLimits(pod: Pod): Resources {
  return podTotal(pod, (requirements) => parseResources(requirements?.limits))
}

function podTotal(pod: Pod, read: (requirements: ResourceRequirements | undefined) => Resources): Resources {
  const { containers = [], initContainers = [], resources, overhead } = pod.spec ?? {}
  let running = containers.reduce((sum, container) => add(sum, read(container.resources)), noResources)
  let sidecars = noResources
  let initPeak = noResources
  for (const container of initContainers) {
    const own = read(container.resources)
    if (isSidecar(container)) {
      sidecars = add(sidecars, own)
      running = add(running, own)
      initPeak = maximum(initPeak, sidecars)
    } else {
      initPeak = maximum(initPeak, add(own, sidecars))
    }
  }
  const ofContainers = maximum(running, initPeak)
  return add(overrideWith(ofContainers, resources && read(resources), resources), parseResources(overhead))
}

/** The API server defaults a missing request to the limit; objects that never went through it are read the same. */
function withDefaultRequests(requirements: ResourceRequirements | undefined): Resources {
  return parseResources({ ...requirements?.limits, ...requirements?.requests })
}

function overrideWith(
  base: Resources,
  stated: Resources | undefined,
  requirements: ResourceRequirements | undefined,
): Resources {
  if (!stated) return base
  const names = new Set([
    ...Object.keys(requirements?.requests ?? {}),
    ...Object.keys(requirements?.limits ?? {}),
  ])
  return {
    ...base,
    cpuMillis: names.has('cpu') ? stated.cpuMillis : base.cpuMillis,
    memoryBytes: names.has('memory') ? stated.memoryBytes : base.memoryBytes,
  }
}
