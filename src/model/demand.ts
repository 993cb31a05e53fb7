import { assertNever } from './assert.ts'
import type { Container, Pod, ResourceRequirements } from './kubernetes.ts'
import type { DemandRule, Size, SteppedSpecs } from './price-book.ts'
import { parseBytes, parseCpuMillis } from './quantity.ts'
import { isSidecar, parseResources, podRequests, type Resources } from './resources.ts'
import type { Demand } from './spec.ts'

/** What a Pod asks for, and how that was found. */
export interface FoundDemand {
  readonly demand: Demand
  /** Sentences that come before it. */
  readonly notes: readonly string[]
  /** The beginning of a sentence that ends with the demand. */
  readonly says: string
}

const bytesPerMiB = 1_048_576n
const gpuResources = ['nvidia.com/gpu', 'amd.com/gpu', 'gpu.intel.com/i915']

/** By the table's annotations, if the Pod has them, else by its rule. */
export function demandOf(pod: Pod, { annotations, demand: rule }: SteppedSpecs): FoundDemand {
  const found = byRule(pod, rule ?? 'requests-or-largest-limit')
  if (!annotations) return found
  const stated = statedSize(pod, annotations)
  switch (stated.kind) {
    case 'none':
    case 'half':
      return found
    case 'unreadable':
      // An annotation is free text that no API server checks: said, and the requests count.
      return { ...found, notes: [`annotations not understood (${stated.reason})`] }
    case 'size': {
      const demand = { ...stated.size, gpus: found.demand.gpus }
      return { demand, notes: [], says: "the Pod's annotations state " }
    }
    default:
      return assertNever(stated, 'stated size')
  }
}

function byRule(pod: Pod, rule: DemandRule): FoundDemand {
  switch (rule) {
    case 'requests-or-largest-limit':
      return tencentDemand(pod)
    case 'requests':
      return {
        demand: ofResources(podRequests(pod)),
        notes: [],
        says: "the Pod's requests, as the scheduler counts them: ",
      }
    case 'limits-or-requests':
      return {
        demand: ofResources(podRequests(limitsFirst(pod))),
        notes: [],
        says: 'asked for, as the sum of limits, or of requests where there is no limit: ',
      }
    default:
      return assertNever(rule, 'demand rule')
  }
}

export function ofResources({ cpuMillis, memoryBytes, extended }: Resources): Demand {
  return { cpuMillis, memoryMiB: toMiB(memoryBytes), gpus: gpuCount(extended) }
}

export function gpuCount(extended: ReadonlyMap<string, bigint>): bigint {
  return gpuResources.reduce((sum, name) => sum + (extended.get(name) ?? 0n), 0n)
}

export function toMiB(bytes: bigint): bigint {
  return (bytes + bytesPerMiB - 1n) / bytesPerMiB
}

/** The same Pod as if each container requested its limits. */
function limitsFirst(pod: Pod): Pod {
  if (!pod.spec) return pod
  const raised = (resources: ResourceRequirements = {}): ResourceRequirements => ({
    ...resources,
    requests: { ...resources.requests, ...resources.limits },
  })
  const all = (containers: readonly Container[] = []): Container[] =>
    containers.map((container) => ({ ...container, resources: raised(container.resources) }))
  const { containers, initContainers, resources } = pod.spec
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: all(containers),
      initContainers: all(initContainers),
      ...(resources && { resources: raised(resources) }),
    },
  }
}

/** A size that a Pod's annotations state. Both of them, or nothing: one alone would leave the other to chance. */
export type StatedSize =
  | { readonly kind: 'none' }
  | { readonly kind: 'half'; readonly missing: string }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'size'; readonly size: Size }

export function statedSize(
  { metadata }: Pod,
  keys: { readonly cpu: string; readonly memory: string },
): StatedSize {
  const cpu = metadata?.annotations?.[keys.cpu]
  const memory = metadata?.annotations?.[keys.memory]
  if (cpu === undefined && memory === undefined) return { kind: 'none' }
  if (cpu === undefined) return { kind: 'half', missing: keys.cpu }
  if (memory === undefined) return { kind: 'half', missing: keys.memory }
  try {
    return { kind: 'size', size: { cpuMillis: parseCpuMillis(cpu), memoryMiB: toMiB(parseBytes(memory)) } }
  } catch (error) {
    return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Per resource the larger of the sum of requests and the largest single limit; init containers by themselves in the
 * same way, "the larger value is used": per resource here, which the page leaves open. Sidecars run with the
 * containers, so they count with them; what the Pod states as a whole takes the place of the sum. The overhead of its
 * RuntimeClass, of which the page says nothing, comes on top, as in all that Kubernetes counts.
 */
function tencentDemand(pod: Pod): FoundDemand {
  const { containers = [], initContainers = [], resources, overhead } = pod.spec ?? {}
  const sandbox = parseResources(overhead)
  const running = groupDemand([...containers, ...initContainers.filter(isSidecar)])
  const init = groupDemand(initContainers.filter((container) => !isSidecar(container)))
  const whole = resources ? groupDemand([{ name: '', resources }]) : undefined
  return {
    demand: {
      cpuMillis: onTop(whole?.cpuMillis || larger(running.cpuMillis, init.cpuMillis), sandbox.cpuMillis),
      memoryMiB: toMiB(
        onTop(whole?.memoryBytes || larger(running.memoryBytes, init.memoryBytes), sandbox.memoryBytes),
      ),
      gpus: larger(running.gpus, init.gpus),
    },
    notes: overhead ? [`with the overhead of its RuntimeClass: ${listOf(overhead)}`] : [],
    says: 'asked for, as the larger of all requests together and the largest limit: ',
  }
}

/** Of what is not asked for the table has a size of its own, which is more than a sandbox takes. */
function onTop(asked: bigint, extra: bigint): bigint {
  return asked === 0n ? 0n : asked + extra
}

/** `cpu 10m, memory 48Mi`. */
function listOf(resources: Readonly<Record<string, string>>): string {
  return Object.entries(resources)
    .map(([name, amount]) => `${name} ${amount}`)
    .join(', ')
}

function groupDemand(containers: readonly Container[]): {
  cpuMillis: bigint
  memoryBytes: bigint
  gpus: bigint
} {
  let sum = { cpuMillis: 0n, memoryBytes: 0n, gpus: 0n }
  let limit = { cpuMillis: 0n, memoryBytes: 0n }
  for (const { resources } of containers) {
    // The API server defaults a missing request to the limit.
    const requests: Record<string, string> = { ...resources?.limits, ...resources?.requests }
    sum = {
      cpuMillis: sum.cpuMillis + parseCpuMillis(requests['cpu'] ?? '0'),
      memoryBytes: sum.memoryBytes + parseBytes(requests['memory'] ?? '0'),
      gpus: sum.gpus + gpuResources.reduce((n, name) => n + parseBytes(requests[name] ?? '0'), 0n),
    }
    limit = {
      cpuMillis: larger(limit.cpuMillis, parseCpuMillis(resources?.limits?.['cpu'] ?? '0')),
      memoryBytes: larger(limit.memoryBytes, parseBytes(resources?.limits?.['memory'] ?? '0')),
    }
  }
  return {
    cpuMillis: larger(sum.cpuMillis, limit.cpuMillis),
    memoryBytes: larger(sum.memoryBytes, limit.memoryBytes),
    gpus: sum.gpus,
  }
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
