import type { BackendHealth } from '../../src/backends/backend.ts'
import { aNodePool, capabilities } from '../support/builders.ts'
import type { NodeInput, NodePool } from '../../src/node/node-object.ts'

export function healthSample({ lost = false }: { lost?: boolean } = {}): BackendHealth {
  const fine = { ok: true, reason: 'Fine', message: 'fine' }
  const runtime = lost ? { ok: false, reason: 'ConnectionRefused', message: 'containerd is away' } : fine
  return {
    runtime,
    disk: fine,
    network: fine,
    memory: fine,
    pids: fine,
    runtimeVersion: 'containerd://2.4.2',
  }
}

export function nodeInputSample(pool: Partial<NodePool> = {}): NodeInput {
  return {
    pool: aNodePool(pool),
    use: { retiring: false, inUse: false },
    ordinal: 0,
    capacity: {
      cpuMillis: 16_500n,
      memoryBytes: 64n << 30n,
      ephemeralStorageBytes: 100n << 30n,
      pods: 110,
      extended: new Map([['nvidia.com/gpu', 2n]]),
    },
    place: {
      address: '10.200.1.2',
      port: 10_260,
      os: 'linux',
      architecture: 'amd64',
      kernelVersion: '6.1.0',
      osImage: 'Debian GNU/Linux 12',
      machineId: '0123456789abcdef',
      zone: 'z1',
    },
    versions: { server: 'v1.37.2+k3s1', spillway: '0.1.0', runtime: 'containerd://2.4.2' },
    capabilities: capabilities(),
  }
}
