import { beforeEach, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { DesiredPods } from '../../src/pods/desired-pods.ts'
import { Orphans } from '../../src/pods/orphans.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal

function running(uid: string): PodObservation {
  return {
    uid: asPodUid(uid),
    namespace: 'default',
    name: `pod-${uid}`,
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation: 1,
    phase: 'running',
    containers: [],
  }
}

function known(uid: string): Pod {
  return {
    metadata: { uid, namespace: 'default', name: `pod-${uid}`, resourceVersion: '1' },
    spec: { containers: [] },
  }
}

let clock: FakeClock
let store: ObjectStore<Pod>
let desired: DesiredPods
let live: Pod[]
let runs: PodObservation[]
let confirmed: string[]
let halted: string | undefined
let orphansOf: (desiredOf: (node: string) => DesiredPods) => Orphans
let orphans: Orphans

beforeEach(() => {
  clock = new FakeClock()
  store = new ObjectStore<Pod>({ log: silentLog() })
  desired = new DesiredPods(store, () => {})
  live = []
  confirmed = []
  halted = undefined
  const api = {
    get: (_resource: unknown, { name }: { name: string }) => {
      const found = live.find(({ metadata }) => metadata?.name === name)
      return found ? Promise.resolve(found) : Promise.reject(new SpillwayError('NotFound', name))
    },
  } as unknown as KubeApi
  orphansOf = (desiredOf) =>
    new Orphans({
      backend: { list: () => Promise.resolve(runs) } as unknown as Backend,
      desiredOf,
      api,
      clock,
      log: silentLog(),
      confirmed: (uid) => confirmed.push(uid),
      halted: (reason) => (halted = reason),
    })
  orphans = orphansOf(() => desired)
})

function emptyStore(): ObjectStore<Pod> {
  const empty = new ObjectStore<Pod>({ log: silentLog() })
  empty.replaceAll([])
  return empty
}

async function sweepTwice(): Promise<void> {
  await orphans.sweep(never)
  await clock.advance(31_000)
  await orphans.sweep(never)
}

describe('an orphan', () => {
  beforeEach(() => {
    runs = ['a', 'b', 'c', 'd', 'e', 'lost'].map(running)
    store.replaceAll(['a', 'b', 'c', 'd', 'e'].map(known))
  })

  test('is ended after a second look and a live GET', async () => {
    await orphans.sweep(never)
    expect(confirmed).toEqual([])
    await clock.advance(31_000)
    await orphans.sweep(never)
    expect(confirmed).toEqual(['lost'])
    expect(desired.get(asPodUid('lost')).kind).toBe('deleted')
  })

  test('is spared while the API server still has it, whatever our cache says', async () => {
    live = [known('lost')]
    await sweepTwice()
    expect(confirmed).toEqual([])
  })

  test('is ended when another Pod has its name by now', async () => {
    live = [{ ...known('lost'), metadata: { ...known('lost').metadata, uid: 'another' } }]
    await sweepTwice()
    expect(confirmed).toEqual(['lost'])
  })

  test('of a node that is no longer served it is judged by what is left of that: nothing', async () => {
    const departed = new DesiredPods(emptyStore(), () => {})
    orphans = orphansOf((node) => (node === 'burst-0' ? desired : departed))
    runs = runs.map((pod) => ({ ...pod, nodeName: pod.uid === 'lost' ? 'gone-0' : 'burst-0' }))
    await sweepTwice()
    expect(confirmed).toEqual(['lost'])
    expect(departed.get(asPodUid('lost')).kind).toBe('deleted')
  })
})

test('before the first list is in, nothing is suspected', async () => {
  runs = [running('a')]
  await sweepTwice()
  expect(confirmed).toEqual([])
})

test('when too many look like orphans at once, none is ended and a reason is given', async () => {
  runs = ['a', 'b', 'c', 'd'].map(running)
  store.replaceAll([known('a')])
  await sweepTwice()
  expect(confirmed).toEqual([])
  expect(halted).toMatch(/3 of 4 Pods here are unknown/)
})

test('a crowd of Pods that have ended is cleared away, and does not stop the sweep', async () => {
  store.replaceAll([known('a')])
  const ended = ['b', 'c', 'd', 'e'].map((uid): PodObservation => ({ ...running(uid), phase: 'stopped' }))
  runs = [running('a'), running('f'), ...ended]
  await sweepTwice()
  expect(confirmed).toEqual(['f', 'b', 'c', 'd', 'e'])
  expect(halted).toBeUndefined()
})
