import { afterEach, beforeEach, expect, test } from 'vitest'
import type { KubeApi, ObjectName, Patch, Resource } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeObject, Node, Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import { poolToleration } from '../../src/scheduling/decide-overflow.ts'
import type { VolumeSource } from '../../src/scheduling/live-volumes.ts'
import { defaultOverflowRules, runOverflow } from '../../src/scheduling/overflow.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { applyJsonPatch } from '../support/apply-json-patch.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { boundSample, podSample, serverSample, virtualSample } from './samples.ts'

const log = silentLog()
const ours = { [deletionCostAnnotation]: '-1000', [deletionCostSetAnnotation]: '-1000' }

let clock: FakeClock
let ending: AbortController
let running: Promise<void>
let written: Pod[]
let cost: number | undefined

beforeEach(() => {
  clock = new FakeClock()
  ending = new AbortController()
  running = Promise.resolve()
  written = []
  cost = -1000
})
afterEach(async () => {
  ending.abort()
  await running
})

/** What becomes of a Pod that the scheduler has refused on one full server. */
async function sent(pod: Pod, volumes?: VolumeSource): Promise<Pod | undefined> {
  const storeOf = <T extends KubeObject>(objects: readonly T[]): ObjectStore<T> => {
    const store = new ObjectStore<T>({ log })
    store.replaceAll(objects)
    return store
  }
  const patch = async <T extends KubeObject>(
    _resource: Resource<T>,
    _object: ObjectName,
    { body }: Patch,
  ) => {
    written.push(applyJsonPatch(pod, body as Parameters<typeof applyJsonPatch>[1]))
    return written.at(-1) as KubeObject as T
  }
  const get = async (): Promise<never> => {
    throw new Error('nothing is unclear here')
  }
  const full: readonly Node[] = [serverSample({ cpu: '500m' }), virtualSample()]
  running = runOverflow(
    {
      api: { patch, get } satisfies Pick<KubeApi, 'patch' | 'get'>,
      pods: storeOf([pod, boundSample('server-0', { name: 'first' })]),
      nodes: storeOf(full),
      namespaces: storeOf([{ metadata: { name: 'shop' } }]),
      services: storeOf([]),
      rules: () => ({ ...defaultOverflowRules, pools: [{ name: 'burst', refuses: () => undefined }] }),
      onRules: () => () => undefined,
      ...(volumes && { volumes }),
      deletionCost: () => cost,
      events: { record: () => undefined },
      clock,
      random: () => 0,
      log,
    },
    ending.signal,
  )
  await clock.advance(100)
  expect(written.length).toBeLessThanOrEqual(1)
  return written[0]
}

test('a Pod is let out and given its deletion cost in one write', async () => {
  const pod = await sent(podSample({ owner: 'ReplicaSet' }))
  expect(pod?.spec?.tolerations).toEqual([poolToleration('burst')])
  expect(pod?.metadata?.annotations).toEqual(ours)
})

test('beside the annotations that it has', async () => {
  const sample = podSample({ owner: 'ReplicaSet' })
  const pod = await sent({ ...sample, metadata: { ...sample.metadata, annotations: { app: 'own' } } })
  expect(pod?.metadata?.annotations).toEqual({ app: 'own', ...ours })
})

test('a cost of its people stays', async () => {
  const sample = podSample({ owner: 'ReplicaSet' })
  const own = { [deletionCostAnnotation]: '7' }
  const pod = await sent({ ...sample, metadata: { ...sample.metadata, annotations: own } })
  expect(pod?.metadata?.annotations).toEqual(own)
})

test('none is given where nobody scales in by it', async () => {
  const pod = await sent(podSample({ owner: 'Job' }))
  expect(pod?.spec?.tolerations).toEqual([poolToleration('burst')])
  expect(pod?.metadata?.annotations).toBeUndefined()
})

test('none is given where its policy leaves the order to Kubernetes', async () => {
  cost = undefined
  const pod = await sent(podSample({ owner: 'ReplicaSet' }))
  expect(pod?.spec?.tolerations).toEqual([poolToleration('burst')])
  expect(pod?.metadata?.annotations).toBeUndefined()
})

test('a Pod with a volume waits until it is known where that is, and nobody else does', async () => {
  const state = { awaited: true, wanted: 0 }
  const listeners = new Set<() => void>()
  const volumes: VolumeSource = {
    objects: () => undefined,
    want: () => void (state.wanted += 1),
    get awaited() {
      return state.awaited
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const ephemeral = { volumeClaimTemplate: { spec: {} } }
  const pod = podSample({ spec: { volumes: [{ name: 'tmp', ephemeral }] } })
  expect(await sent(pod, volumes)).toBeUndefined()
  expect(state.wanted).toBeGreaterThan(0)
  // They cannot be read: the scheduler is left to judge.
  state.awaited = false
  for (const listener of listeners) listener()
  await clock.advance(100)
  expect(written).toHaveLength(1)
})

test('volumes are not asked for where no Pod has one', async () => {
  const want = (): never => {
    throw new Error('nobody needs them')
  }
  const volumes = { objects: () => undefined, want, awaited: false, subscribe: () => () => undefined }
  expect(await sent(podSample(), volumes)).toBeDefined()
})
