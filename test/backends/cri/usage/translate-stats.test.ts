import { describe, expect, it } from 'vitest'
import type {
  ContainerStats,
  MemoryStats,
  PodSandboxStats,
} from '../../../../src/backends/cri/usage/stats-types.ts'
import { podUsage } from '../../../../src/backends/cri/usage/translate-stats.ts'

const timestamp = '1767225600500000000'
const atMs = 1_767_225_600_500
const of = (value: number | string) => ({ value: String(value) })

const memory: MemoryStats = {
  timestamp,
  workingSetBytes: of(80),
  availableBytes: of(20),
  usageBytes: of(90),
  rssBytes: of(70),
  pageFaults: of(5),
  majorPageFaults: of(1),
  psi: null,
}

const app: ContainerStats = {
  attributes: { id: 'c-1', metadata: { name: 'app', attempt: 0 } },
  cpu: { timestamp, usageCoreNanoSeconds: of(7), usageNanoCores: null, psi: null },
  memory,
  io: null,
  writableLayer: { timestamp, fsId: { mountpoint: '/x' }, usedBytes: of(4096), inodesUsed: of(2) },
}

function sandbox(linux: Partial<NonNullable<PodSandboxStats['linux']>> = {}): PodSandboxStats {
  const labels = {
    'io.kubernetes.pod.uid': 'u-1',
    'io.kubernetes.pod.namespace': 'shop',
    'io.kubernetes.pod.name': 'web',
    'spillway.dev/node-name': 'burst-0',
  }
  return {
    attributes: { id: 's-1', metadata: { uid: 'u-1', namespace: 'shop', name: 'web', attempt: 0 }, labels },
    linux: {
      cpu: { timestamp, usageCoreNanoSeconds: of(9), usageNanoCores: of(3), psi: null },
      memory,
      io: null,
      network: null,
      process: { processCount: of(2) },
      containers: [app],
      ...linux,
    },
  }
}

const created = new Map([
  ['s-1', 1_000],
  ['c-1', 2_000],
])

describe('podUsage', () => {
  it('is whose the sandbox is, and what the runtime measured', () => {
    expect(podUsage(sandbox(), created)).toMatchObject({
      uid: 'u-1',
      namespace: 'shop',
      name: 'web',
      nodeName: 'burst-0',
      startedAtMs: 1_000,
      cpu: { atMs, totalNanos: 9n, rateNanos: 3n },
      memory: { atMs, workingSetBytes: 80n, availableBytes: 20n },
      processes: 2n,
      containers: [
        {
          name: 'app',
          startedAtMs: 2_000,
          cpu: { atMs, totalNanos: 7n },
          root: { atMs, usedBytes: 4_096n, usedInodes: 2n },
        },
      ],
    })
  })

  it('leaves out containers that have ended, and layers that nobody looked at', () => {
    const fresh = { ...app, writableLayer: { ...app.writableLayer, timestamp: '0' } } as ContainerStats
    const usage = podUsage(sandbox({ containers: [{ ...app, cpu: null }, fresh] }), created)
    expect(usage?.containers).toHaveLength(1)
    expect(usage?.containers[0]).not.toHaveProperty('root')
  })

  it('takes no limit for no limit, in whichever way it is spelled', () => {
    for (const none of [0, '18446744073709551000']) {
      const usage = podUsage(sandbox({ memory: { ...memory, availableBytes: of(none) } }), created)
      expect(usage?.memory).not.toHaveProperty('availableBytes')
    }
  })

  it('says nothing of resident memory that was not measured', () => {
    const usageOf = (change: Partial<MemoryStats>) =>
      podUsage(sandbox({ memory: { ...memory, ...change } }), created)?.memory
    expect(usageOf({ rssBytes: of(0) })).not.toHaveProperty('rssBytes')
    expect(usageOf({ rssBytes: of(0), usageBytes: of(0) })).toMatchObject({ rssBytes: 0n })
  })

  it('names the default interface first, and once', () => {
    const one = (name: string) => ({
      name,
      rxBytes: of(1),
      rxErrors: of(0),
      txBytes: of(2),
      txErrors: of(0),
    })
    const network = { timestamp, defaultInterface: one('eth0'), interfaces: [one('net1'), one('eth0')] }
    const names = podUsage(sandbox({ network }), created)?.network?.interfaces.map(({ name }) => name)
    expect(names).toEqual(['eth0', 'net1'])
  })

  it('is nothing for a sandbox that is not ours, or not known yet', () => {
    expect(podUsage(sandbox(), new Map())).toBeUndefined()
    expect(podUsage({ ...sandbox(), attributes: null }, created)).toBeUndefined()
  })
})
