import { expect, it } from 'vitest'
import { resourceMetrics } from '../../src/kubelet-api/resource-metrics.ts'
import { atMs, reading } from './readings.ts'

it('are the series of kubelet, with the time of each sample', () => {
  const lines = resourceMetrics(reading).split('\n')
  expect(lines.filter((line) => !line.startsWith('#'))).toEqual([
    `container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} 2.000000000 ${atMs}`,
    `container_memory_working_set_bytes{container="app",namespace="shop",pod="web"} 60 ${atMs}`,
    'container_start_time_seconds{container="app",namespace="shop",pod="web"} 1767225541',
    `node_cpu_usage_seconds_total 3.000000000 ${atMs}`,
    `node_memory_working_set_bytes 80 ${atMs}`,
    `pod_cpu_usage_seconds_total{namespace="shop",pod="web"} 2.500000000 ${atMs}`,
    `pod_memory_working_set_bytes{namespace="shop",pod="web"} 80 ${atMs}`,
    'resource_scrape_error 0',
    'scrape_error 0',
    '',
  ])
  expect(lines).toContain(
    '# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds',
  )
  expect(lines).toContain('# TYPE node_cpu_usage_seconds_total counter')
})

it('are never nothing for a node, which metrics-server would take for one that was not measured', () => {
  const [cpu, memory] = [
    { ...reading.cpu, totalNanos: 0n },
    { ...reading.memory, workingSetBytes: 0n },
  ]
  const lines = resourceMetrics({ ...reading, cpu, memory, pods: [] }).split('\n')
  expect(lines.filter((line) => line.startsWith('node_'))).toEqual([
    `node_cpu_usage_seconds_total 0.000000001 ${atMs}`,
    `node_memory_working_set_bytes 1 ${atMs}`,
  ])
})

it('say only that they could not be read when they could not', () => {
  const lines = resourceMetrics(undefined).split('\n')
  expect(lines.filter((line) => line && !line.startsWith('#'))).toEqual([
    'resource_scrape_error 1',
    'scrape_error 1',
  ])
})
