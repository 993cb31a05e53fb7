import { expect, it } from 'vitest'
import { cadvisorMetrics, type IdentityOf } from '../../src/kubelet-api/cadvisor-metrics.ts'
import { atMs, reading } from './readings.ts'

it('have the Pod’s own figures under no container’s name', () => {
  const node = { cpuMillis: 1_500n, memoryBytes: 1_000n }
  const identityOf: IdentityOf = () => ({ image: 'docker.io/library/app:1', id: 'abc' })
  const lines = cadvisorMetrics(reading, { node, identityOf }).split('\n')
  const pod = 'container="",id="",image="",name="",namespace="shop",pod="web"'
  const app = 'container="app",id="",image="docker.io/library/app:1",name="abc",namespace="shop",pod="web"'
  const ofAllCores = (labels: string): string => labels.replace(',', ',cpu="total",')
  expect(lines).toEqual(
    expect.arrayContaining([
      `container_cpu_usage_seconds_total{${ofAllCores(pod)}} 2.500000000 ${atMs}`,
      `container_cpu_usage_seconds_total{${ofAllCores(app)}} 2.000000000 ${atMs}`,
      `container_memory_working_set_bytes{${pod}} 80 ${atMs}`,
      `container_memory_rss{${pod}} 70 ${atMs}`,
      `container_fs_usage_bytes{${pod}} 1114 ${atMs}`,
      `container_fs_usage_bytes{${app}} 100 ${atMs}`,
      `container_network_receive_bytes_total{${pod},interface="eth0"} 10 ${atMs}`,
      `container_network_transmit_errors_total{${pod},interface="eth0"} 1 ${atMs}`,
      `container_processes{${pod}} 3 ${atMs}`,
      'machine_cpu_cores 1.5',
      'machine_memory_bytes 1000',
    ]),
  )
  // What is not measured has no series: a zero would be a claim.
  expect(lines.some((line) => line.startsWith(`container_memory_rss{${app}}`))).toBe(false)
})
