import { afterEach, beforeEach, expect, test } from 'vitest'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeObject, Pod } from '../../src/model/kubernetes.ts'
import type { MoveBackRules } from '../../src/scheduling/decide-move-back.ts'
import { runMoveBack } from '../../src/scheduling/move-back.ts'
import { makeTwin } from '../../src/scheduling/twin.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { agoTime, nowWallMs, outPod, replicaSetOf, rules, sceneOf, webPod } from './move-back-samples.ts'
import { serverSample, virtualSample } from './samples.ts'

const log = silentLog()
let clock: FakeClock
let ending: AbortController
let running: Promise<void>
let done: string[]
/** Undefined: not known yet. */
let known: MoveBackRules | 'off' | undefined
let listeners: Set<() => void>

beforeEach(() => {
  clock = new FakeClock(nowWallMs)
  ending = new AbortController()
  done = []
  known = undefined
  listeners = new Set()
})
afterEach(async () => {
  ending.abort()
  await running
})

const api: Pick<KubeApi, 'patch' | 'create' | 'delete' | 'createSubresource'> = {
  create: async <T extends KubeObject>(_resource: Resource<T>, object: T) => {
    done.push(`create ${object.metadata?.name?.replace(/-\w{5}$/, '')}`)
    return { ...object, metadata: { ...object.metadata, uid: 'uid-made', resourceVersion: '9' } } as T
  },
  delete: async (_resource, { name }) => void done.push(`delete ${name}`),
  patch: async () => {
    throw new Error('nothing is patched here')
  },
  createSubresource: async () => {
    throw new Error('nobody is evicted here')
  },
}

/** Two Pods on a server that has room for one more, one out there, and the twin of that one if it has one. */
function start({ twin = false }: { readonly twin?: boolean } = {}): Pod | undefined {
  const made = twin ? makeTwin(outPod('c'), replicaSetOf(3), () => false) : undefined
  const waiting: Pod | undefined = made && {
    ...made,
    metadata: { ...made.metadata, uid: 'uid-twin', creationTimestamp: agoTime(10) },
    spec: { ...made.spec!, nodeName: 'server-0' },
    status: { phase: 'Pending' },
  }
  const { pods, replicaSets, deployments } = sceneOf({ pods: [webPod('a'), webPod('b'), outPod('c')] })
  const storeOf = <T extends KubeObject>(objects: readonly T[]): ObjectStore<T> => {
    const store = new ObjectStore<T>({ log })
    store.replaceAll(objects)
    return store
  }
  running = runMoveBack(
    {
      api,
      pods: storeOf(waiting ? [...pods, waiting] : pods),
      nodes: storeOf([serverSample({ cpu: '2' }), virtualSample()]),
      namespaces: storeOf([{ metadata: { name: 'shop' } }]),
      replicaSets: storeOf(replicaSets),
      deployments: storeOf(deployments),
      policy: { rulesOf: () => (known === 'off' ? undefined : known), perMinute: 6 },
      isPolicyAwaited: () => known === undefined,
      onPolicy: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      pricePerHour: () => undefined,
      events: { record: () => undefined },
      clock,
      random: () => 0,
      log,
    },
    ending.signal,
  )
  return waiting
}

function learn(policy: MoveBackRules | 'off'): void {
  known = policy
  for (const listener of listeners) listener()
}

test('a twin that is there stays while policies are not known yet, and after that when they want it', async () => {
  start({ twin: true })
  await clock.advance(5_000)
  expect(done).toEqual([])
  learn(rules)
  await clock.advance(5_000)
  expect(done).toEqual([])
})

test('it goes as soon as they are known and do not want it', async () => {
  const twin = start({ twin: true })
  await clock.advance(5_000)
  learn('off')
  await clock.advance(1_000)
  expect(done).toEqual([`delete ${twin?.metadata?.name}`])
})

test('nobody is moved before they are known, and room counts from then on', async () => {
  start()
  await clock.advance(1_000_000)
  expect(done).toEqual([])
  learn(rules)
  await clock.advance(rules.afterMs)
  expect(done).toEqual([])
  await clock.advance(1_000)
  expect(done).toEqual(['create web-abc'])
})

test('a policy that changes is asked again, though nothing else changes', async () => {
  known = 'off'
  start()
  await clock.advance(1_000_000)
  learn(rules)
  await clock.advance(rules.afterMs + 1_000)
  expect(done).toEqual(['create web-abc'])
})
