import type { ContainerUsage, CpuUsage, MemoryUsage, PodUsage } from '../model/pod-usage.ts'
import { metricsText, seconds, type MetricFamily, type Sample } from './metrics-text.ts'
import type { NodeReading } from './node-usage.ts'

/**
 * `/metrics/resource`, what metrics-server and through it `kubectl top` and the autoscaler read: kubelet's names and
 * texts (pkg/kubelet/metrics/collectors/resource_metrics.go), without swap, which containers here have none of.
 * Undefined: it could not be read, and that is all that is said. Pure.
 */
export function resourceMetrics(reading: NodeReading | undefined): string {
  const failed = { value: reading ? '0' : '1' }
  const help = '1 if there was an error while getting container metrics, 0 otherwise'
  return metricsText([
    ...(reading ? usageFamilies(reading) : []),
    { name: 'resource_scrape_error', help: `[STABLE] ${help}`, type: 'gauge', samples: [failed] },
    {
      name: 'scrape_error',
      help: `[ALPHA] (Deprecated since 1.29.0) ${help}`,
      type: 'gauge',
      samples: [failed],
    },
  ])
}

function usageFamilies({ cpu, memory, pods }: NodeReading): MetricFamily[] {
  // Never nothing: metrics-server takes a node that uses 0 for one that was not measured, and kubectl top shows
  // <unknown>. A server always uses something; a virtual node without Pods does not.
  const some = {
    cpu: { ...cpu, totalNanos: cpu.totalNanos || 1n },
    memory: { ...memory, workingSetBytes: memory.workingSetBytes || 1n },
  }
  const containers = pods.flatMap((pod) => pod.containers.map((container) => ({ pod, container })))
  return [
    cpuFamily('node', 'node', cpuSamples({}, some.cpu)),
    memoryFamily('node', 'node', memorySamples({}, some.memory)),
    cpuFamily(
      'pod',
      'pod',
      pods.flatMap((pod) => cpuSamples(podLabels(pod), pod.cpu)),
    ),
    memoryFamily(
      'pod',
      'pod',
      pods.flatMap((pod) => memorySamples(podLabels(pod), pod.memory)),
    ),
    cpuFamily(
      'container',
      'container',
      containers.flatMap((one) => cpuSamples(containerLabels(one), one.container.cpu)),
    ),
    memoryFamily(
      'container',
      'container',
      containers.flatMap((one) => memorySamples(containerLabels(one), one.container.memory)),
    ),
    {
      name: 'container_start_time_seconds',
      help: '[STABLE] Start time of the container since unix epoch in seconds',
      type: 'gauge',
      samples: containers.map((one) => ({
        labels: containerLabels(one),
        value: String(one.container.startedAtMs / 1000),
      })),
    },
  ]
}

function cpuFamily(prefix: string, what: string, samples: Sample[]): MetricFamily {
  const help = `[STABLE] Cumulative cpu time consumed by the ${what} in core-seconds`
  return { name: `${prefix}_cpu_usage_seconds_total`, help, type: 'counter', samples }
}

function memoryFamily(prefix: string, what: string, samples: Sample[]): MetricFamily {
  const help = `[STABLE] Current working set of the ${what} in bytes`
  return { name: `${prefix}_memory_working_set_bytes`, help, type: 'gauge', samples }
}

type Labels = Readonly<Record<string, string>>

function cpuSamples(labels: Labels, cpu: CpuUsage | undefined): Sample[] {
  return cpu ? [{ labels, value: seconds(cpu.totalNanos), atMs: cpu.atMs }] : []
}

function memorySamples(labels: Labels, memory: MemoryUsage | undefined): Sample[] {
  if (memory?.workingSetBytes === undefined) return []
  return [{ labels, value: String(memory.workingSetBytes), atMs: memory.atMs }]
}

function podLabels({ namespace, name }: PodUsage): Labels {
  return { namespace, pod: name }
}

function containerLabels({
  pod,
  container,
}: {
  readonly pod: PodUsage
  readonly container: ContainerUsage
}): Labels {
  return { container: container.name, ...podLabels(pod) }
}
