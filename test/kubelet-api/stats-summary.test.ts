import { expect, it } from 'vitest'
import { statsSummary } from '../../src/kubelet-api/stats-summary.ts'
import { reading, wholePod } from './readings.ts'

const time = '2026-01-01T00:00:00Z'
const room = { availableBytes: 400, capacityBytes: 1_000, inodesFree: 60, inodes: 100 }
const whole = { onlyCpuAndMemory: false, ephemeralStorageBytes: 5_000n }

it('is kubelet’s summary of node, Pods and containers', () => {
  const node = {
    cpu: { time, usageNanoCores: 100_000_000, usageCoreNanoSeconds: 3_000_000_000 },
    memory: { time, availableBytes: 920, workingSetBytes: 80 },
  }
  expect(statsSummary(reading, whole)).toEqual({
    node: {
      nodeName: 'burst-0',
      systemContainers: [{ name: 'pods', startTime: time, ...node }],
      startTime: time,
      ...node,
      // 100 + 10 + 1000 + 4 of the Pod; of the disk no more is left than 400.
      fs: { time, ...room, capacityBytes: 5_000, usedBytes: 1_114, inodesUsed: 8 },
      runtime: {
        imageFs: { time, ...room, usedBytes: 300, inodesUsed: 2 },
        containerFs: { time, ...room, usedBytes: 300, inodesUsed: 2 },
      },
      rlimit: { time, maxpid: 32_768, curproc: 3 },
    },
    pods: [
      {
        podRef: { name: 'web', namespace: 'shop', uid: 'u-1' },
        startTime: '2025-12-31T23:59:00Z',
        containers: [
          {
            name: 'app',
            startTime: '2025-12-31T23:59:01Z',
            cpu: { time, usageCoreNanoSeconds: 2_000_000_000 },
            memory: { time, workingSetBytes: 60 },
            rootfs: { time, ...room, usedBytes: 100, inodesUsed: 2 },
            logs: { time, ...room, usedBytes: 10, inodesUsed: 2 },
          },
        ],
        cpu: { time, usageNanoCores: 100_000_000, usageCoreNanoSeconds: 2_500_000_000 },
        memory: {
          time,
          availableBytes: 20,
          usageBytes: 90,
          workingSetBytes: 80,
          rssBytes: 70,
          pageFaults: 5,
          majorPageFaults: 1,
        },
        network: {
          time,
          name: 'eth0',
          rxBytes: 10,
          rxErrors: 0,
          txBytes: 20,
          txErrors: 1,
          interfaces: [
            { name: 'eth0', rxBytes: 10, rxErrors: 0, txBytes: 20, txErrors: 1 },
            { name: 'net1', rxBytes: 1, rxErrors: 0, txBytes: 2, txErrors: 0 },
          ],
        },
        volume: [
          { name: 'cache', time, ...room, usedBytes: 1_000, inodesUsed: 2 },
          { name: 'token', time, ...room, usedBytes: 7, inodesUsed: 2 },
          {
            name: 'data',
            pvcRef: { name: 'data-0', namespace: 'shop' },
            time,
            ...room,
            usedBytes: 9,
            inodesUsed: 2,
          },
        ],
        'ephemeral-storage': { time, ...room, usedBytes: 1_114, inodesUsed: 8 },
        process_stats: { process_count: 3 },
      },
    ],
  })
})

it('leaves out all but CPU and memory when asked to', () => {
  const { node, pods } = statsSummary(reading, { ...whole, onlyCpuAndMemory: true }) as {
    node: object
    pods: { containers: object[] }[]
  }
  expect(Object.keys(node)).toEqual(['nodeName', 'systemContainers', 'startTime', 'cpu', 'memory'])
  expect(Object.keys(pods[0] ?? {})).toEqual(['podRef', 'startTime', 'containers', 'cpu', 'memory'])
  expect(Object.keys(pods[0]?.containers[0] ?? {})).toEqual(['name', 'startTime', 'cpu', 'memory'])
})

it('shows the pressure that the kernel tells of', () => {
  const share = { totalNanos: 7n, avg10: 1.5, avg60: 0.5, avg300: 0 }
  const cpu = { atMs: reading.atMs, totalNanos: 1n, pressure: { full: share, some: share } }
  const { pods } = statsSummary({ ...reading, pods: [{ ...wholePod, cpu }] }, whole) as {
    pods: { cpu: object }[]
  }
  const told = { total: 7, avg10: 1.5, avg60: 0.5, avg300: 0 }
  expect(pods[0]?.cpu).toMatchObject({ psi: { full: told, some: told } })
})

it('never has less than nothing left', () => {
  const { node } = statsSummary(reading, { ...whole, ephemeralStorageBytes: 1_000n }) as {
    node: { fs: object }
  }
  expect(node.fs).toMatchObject({ availableBytes: 0 })
})
