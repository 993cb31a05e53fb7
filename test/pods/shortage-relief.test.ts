import { beforeEach, describe, expect, it } from 'vitest'
import type { BackendHealth, HealthCheck } from '../../src/backends/backend.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { PodUid } from '../../src/model/pod-key.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import type { PodUsage, UsageOptions } from '../../src/model/pod-usage.ts'
import type { Shortage } from '../../src/model/shortage.ts'
import { ShortageRelief } from '../../src/pods/shortage-relief.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aPod, uidOf } from '../support/builders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal
const fine: HealthCheck = { ok: true, reason: 'Fine', message: '' }
const disk: Shortage = { resource: 'ephemeral-storage', least: 10n, available: 1n }
const memory: Shortage = { resource: 'memory', least: 10n, available: 1n }
const big = aPod({ name: 'big' })
const small = aPod({ name: 'small' })

let clock: FakeClock
let short: readonly Shortage[]
/** What is short once disk was given back. */
let shortAfter: readonly Shortage[]
let asked: string[]
let patched: { readonly metadata?: { readonly uid?: string }; readonly status?: Pod['status'] }[]
let phases: Map<PodUid, PodObservation['phase']>
let relief: ShortageRelief

beforeEach(() => {
  clock = new FakeClock()
  short = shortAfter = [disk]
  asked = []
  patched = []
  phases = new Map([big, small].map((pod) => [uidOf(pod), 'running']))
  const backend = {
    name: 'local',
    health: async (): Promise<BackendHealth> => health(short),
    reclaim: async (): Promise<void> => {
      asked.push('reclaim')
      short = shortAfter
    },
    usage: async ({ storage }: UsageOptions) => {
      asked.push(storage ? 'usage on disk' : 'usage')
      return { pods: [using(big, 500n), using(small, 5n)] }
    },
  }
  const observed = (uid: PodUid): PodObservation | undefined => {
    const phase = phases.get(uid)
    return phase && ({ uid, phase } as PodObservation)
  }
  const recordEvent = (pod: Pod, { reason }: { readonly reason: string }): void =>
    void asked.push(`${reason} ${pod.metadata?.name}`)
  relief = new ShortageRelief({ backend, observed, recordEvent, clock, log: silentLog() })
})

function health(shortages: readonly Shortage[]): BackendHealth {
  const check = (...names: readonly string[]): HealthCheck => {
    const shortage = shortages.find(({ resource }) => names.includes(resource))
    return shortage ? { ok: false, reason: 'Short', message: '', shortage } : fine
  }
  return {
    runtime: fine,
    network: fine,
    memory: check('memory'),
    disk: check('ephemeral-storage', 'inodes'),
    pids: check('pids'),
    runtimeVersion: 'fake://1',
  }
}

function using(pod: Pod, bytes: bigint): PodUsage {
  const root = { atMs: 0, usedBytes: bytes }
  return {
    uid: uidOf(pod),
    namespace: 'default',
    name: pod.metadata?.name ?? '',
    nodeName: 'burst-0',
    startedAtMs: 0,
    memory: { atMs: 0, workingSetBytes: bytes },
    containers: [{ name: 'main', startedAtMs: 0, root, memory: { atMs: 0, workingSetBytes: bytes } }],
  }
}

async function look(pods: readonly Pod[] = [small, big]): Promise<void> {
  const api = {
    patch: async (_resource: unknown, _key: unknown, { body }: { body: (typeof patched)[number] }) => {
      patched.push(body)
      return big
    },
  } as unknown as KubeApi
  await relief.look([{ pods, api, wrote: () => undefined }], never)
}

describe('a node that is short', () => {
  it('is left alone while it is not', async () => {
    short = []
    await look()
    expect(asked).toEqual([])
  })

  it('gives back what nobody needs, and lets the Pods be when that is enough', async () => {
    shortAfter = []
    await look()
    expect(asked).toEqual(['reclaim'])
    expect(patched).toEqual([])
  })

  it('lets one Pod go when it is not, and says that it was no fault of its own', async () => {
    await look()
    expect(asked).toEqual(['reclaim', 'usage on disk', 'Evicted big'])
    const message = expect.stringContaining('The node was low on resource: ephemeral-storage. ')
    const condition = { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }
    expect(patched).toEqual([
      {
        metadata: { uid: uidOf(big) },
        status: { reason: 'Evicted', message, conditions: [expect.objectContaining(condition)] },
      },
    ])
  })

  it('has no disk to give back when memory is short, which goes before all else', async () => {
    short = [disk, memory]
    await look()
    expect(asked).toEqual(['usage', 'Evicted big'])
  })

  it('waits for the room that one makes before another goes, but not for ever', async () => {
    await look()
    phases.set(uidOf(big), 'stopping')
    await look()
    expect(patched).toHaveLength(1)
    await clock.advance(30_000)
    await look([small])
    expect(patched.map(({ metadata }) => metadata?.uid)).toEqual([uidOf(big), uidOf(small)])
  })

  it('goes on when that one has stopped, and the disk has had time to come free of what it held', async () => {
    await look()
    phases.set(uidOf(big), 'stopped')
    await look([small])
    expect(patched).toHaveLength(1)
    await look([small])
    expect(patched).toHaveLength(2)
  })

  it('goes on at once where memory is short, which is free when its holder is gone', async () => {
    short = [memory]
    await look()
    phases.set(uidOf(big), 'stopped')
    await look([small])
    expect(patched).toHaveLength(2)
  })

  it('spares Pods that are going anyway, and that have nothing here', async () => {
    phases.delete(uidOf(small))
    const leaving = aPod({ name: 'big', metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })
    await look([small, leaving])
    expect(patched).toEqual([])
  })
})
