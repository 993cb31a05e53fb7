import type { ContainerUsage, InterfaceUsage, PodUsage } from '../model/pod-usage.ts'
import { metricsText, seconds, type MetricFamily, type Sample } from './metrics-text.ts'
import type { NodeReading } from './node-usage.ts'
import { podFiles } from './stats-summary.ts'

export interface NodeAmounts {
  readonly cpuMillis: bigint
  readonly memoryBytes: bigint
}

/** Which container of the runtime that is, as the Pod's status has it; empty where that does not say. */
export type IdentityOf = (pod: PodUsage, container: string) => ContainerIdentity

export interface ContainerIdentity {
  readonly image: string
  /** The runtime's, without its scheme. */
  readonly id: string
}

/**
 * `/metrics/cadvisor`, as far as it is measured: those series of cAdvisor's that dashboards are made of, with its
 * names, and its way of writing a Pod's own cgroup as a container without a name or image: the usual rules (those of
 * kubernetes-mixin) tell by `image!=""` that it is not one more container. Of the label `id`, the cgroup, nothing is known
 * here; to Prometheus an empty label is the same as none. Pure.
 */
export function cadvisorMetrics(
  { pods, atMs }: NodeReading,
  { node, identityOf }: { readonly node: NodeAmounts; readonly identityOf: IdentityOf },
): string {
  const series = pods.flatMap((pod) => seriesOf(pod, identityOf))
  const ofPods = figures.map(([name, type, help, figure]) => {
    const samples = series.flatMap((one) => sampleOf(one, figure, atMs))
    return { name, type, help, samples: name === cpuSeconds ? samples.map(ofAllCores) : samples }
  })
  const ofInterfaces = interfaceCounters.map(([name, help, field]): MetricFamily => {
    return { name, type: 'counter', help, samples: pods.flatMap((pod) => interfaceSamples(pod, field)) }
  })
  const machine = [
    gauge('machine_cpu_cores', 'Number of logical CPU cores.', Number(node.cpuMillis) / 1000),
    gauge('machine_memory_bytes', 'Amount of memory installed on the machine.', node.memoryBytes),
  ]
  return metricsText([...ofPods, ...ofInterfaces, ...machine])
}

interface Figure {
  readonly value: string
  readonly atMs: number
}

/** One figure of a Pod's cgroup or of a container; undefined: not measured. */
type FigureOf = (usage: PodUsage | ContainerUsage, nowMs: number) => Figure | undefined

const cpuSeconds = 'container_cpu_usage_seconds_total'

/** Kubelet has cAdvisor tell of all of them together. */
function ofAllCores(sample: Sample): Sample {
  const { container, ...labels } = sample.labels ?? {}
  return { ...sample, labels: { ...(container !== undefined && { container }), cpu: 'total', ...labels } }
}

const figures: readonly (readonly [string, MetricFamily['type'], string, FigureOf])[] = [
  [
    cpuSeconds,
    'counter',
    'Cumulative cpu time consumed in seconds.',
    ({ cpu }) => cpu && { value: seconds(cpu.totalNanos), atMs: cpu.atMs },
  ],
  [
    'container_memory_usage_bytes',
    'gauge',
    'Current memory usage in bytes, including all memory regardless of when it was accessed',
    memoryFigure('usageBytes'),
  ],
  [
    'container_memory_working_set_bytes',
    'gauge',
    'Current working set in bytes.',
    memoryFigure('workingSetBytes'),
  ],
  ['container_memory_rss', 'gauge', 'Size of RSS in bytes.', memoryFigure('rssBytes')],
  [
    'container_start_time_seconds',
    'gauge',
    'Start time of the container since unix epoch in seconds.',
    ({ startedAtMs }, atMs) => ({ value: String(startedAtMs / 1000), atMs }),
  ],
  [
    'container_fs_usage_bytes',
    'gauge',
    'Number of bytes that are consumed by the container on this filesystem.',
    filesFigure,
  ],
  [
    'container_processes',
    'gauge',
    'Number of processes running inside the container.',
    (usage, atMs) =>
      isPod(usage) && usage.processes !== undefined ? { value: String(usage.processes), atMs } : undefined,
  ],
]

const interfaceCounters: readonly (readonly [string, string, keyof InterfaceUsage])[] = [
  ['container_network_receive_bytes_total', 'Cumulative count of bytes received', 'receivedBytes'],
  [
    'container_network_receive_errors_total',
    'Cumulative count of errors encountered while receiving',
    'receiveErrors',
  ],
  ['container_network_transmit_bytes_total', 'Cumulative count of bytes transmitted', 'sentBytes'],
  [
    'container_network_transmit_errors_total',
    'Cumulative count of errors encountered while transmitting',
    'sendErrors',
  ],
]

function memoryFigure(field: 'usageBytes' | 'workingSetBytes' | 'rssBytes'): FigureOf {
  return ({ memory }) => {
    const bytes = memory?.[field]
    return memory && bytes !== undefined ? { value: String(bytes), atMs: memory.atMs } : undefined
  }
}

function filesFigure(usage: PodUsage | ContainerUsage): Figure | undefined {
  if (isPod(usage)) {
    const { usedBytes, atMs } = podFiles(usage)
    return usage.otherFiles && { value: String(usedBytes), atMs }
  }
  const { root } = usage
  return root?.usedBytes === undefined ? undefined : { value: String(root.usedBytes), atMs: root.atMs }
}

function isPod(usage: PodUsage | ContainerUsage): usage is PodUsage {
  return 'uid' in usage
}

/** A Pod's cgroup or a container, under the labels that all of its figures have. */
interface Series {
  readonly usage: PodUsage | ContainerUsage
  readonly labels: Readonly<Record<string, string>>
}

function seriesOf(pod: PodUsage, identityOf: IdentityOf): readonly Series[] {
  return [pod, ...pod.containers].map((usage) => {
    const own = isPod(usage) ? {} : { container: usage.name, ...identityOf(pod, usage.name) }
    return { usage, labels: labels(pod, own) }
  })
}

function sampleOf({ usage, labels: own }: Series, figureOf: FigureOf, nowMs: number): Sample[] {
  const figure = figureOf(usage, nowMs)
  return figure ? [{ labels: own, ...figure }] : []
}

function interfaceSamples(pod: PodUsage, field: keyof InterfaceUsage): Sample[] {
  const { interfaces = [], atMs = 0 } = pod.network ?? {}
  return interfaces.map((one) => ({
    labels: { ...labels(pod, {}), interface: one.name },
    value: String(one[field]),
    atMs,
  }))
}

function gauge(name: string, help: string, value: number | bigint): MetricFamily {
  return { name, help, type: 'gauge', samples: [{ value: String(value) }] }
}

function labels(
  { namespace, name }: PodUsage,
  { container = '', image = '', id = '' }: Partial<ContainerIdentity> & { readonly container?: string },
): Record<string, string> {
  return { container, id: '', image, name: id, namespace, pod: name }
}
