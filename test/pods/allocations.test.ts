import { beforeEach, describe, expect, test } from 'vitest'
import { ObjectStore } from '../../src/kube/store.ts'
import { kubeTime } from '../../src/model/clock.ts'
import type { Node, Pod } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { resourcesOf, type PodResources } from '../../src/model/pod-resources.ts'
import type { PodUid } from '../../src/model/pod-key.ts'
import { Allocations } from '../../src/pods/allocations.ts'
import { DesiredPods } from '../../src/pods/desired-pods.ts'
import type { Observations } from '../../src/pods/observations.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aContainer, aNode, aPod, capabilities, uidOf } from '../support/builders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const clock = new FakeClock()
let store: ObjectStore<Pod>
let told: Map<PodUid, PodObservation>
let changed: PodUid[]
let node: Node | undefined
let canResize: boolean
let version = 0
let allocations: Allocations

beforeEach(() => {
  store = new ObjectStore<Pod>({ log: silentLog() })
  store.replaceAll([])
  told = new Map()
  changed = []
  node = aNode({ allocatable: { cpu: '8' } })
  canResize = true
  makeAllocations()
})

function makeAllocations(): void {
  allocations = new Allocations({
    desired: new DesiredPods(store, () => {}),
    observations: { get: (uid: PodUid) => told.get(uid) } as Observations,
    node: () => node,
    sandboxes: {
      capabilities: () => capabilities({ features: new Set(canResize ? ['inPlaceResize'] : []) }),
    },
    changed: (uid) => changed.push(uid),
    clock,
  })
}

interface Sized {
  readonly cpu: string
  readonly generation?: number
  readonly priority?: number
  readonly status?: Pod['status']
}

/** The Pod as the API server has it now. */
function wanted(name: string, { cpu, generation = 1, priority, status }: Sized): Pod {
  const pod = aPod({
    name,
    metadata: { generation, resourceVersion: String(++version) },
    spec: {
      containers: [aContainer({ resources: { requests: { cpu } } })],
      ...(priority !== undefined && { priority }),
    },
    ...(status && { status }),
  })
  store.put(pod)
  return pod
}

/** The backend has it at that size. */
function tells(pod: Pod, { cpu, generation = 1 }: Sized = { cpu: cpuOf(pod) }): PodObservation {
  const resources: PodResources = { containers: { main: { requests: { cpu } } } }
  const observed: PodObservation = {
    uid: uidOf(pod),
    namespace: 'default',
    name: pod.metadata?.name ?? '',
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation,
    phase: 'running',
    containers: [],
    allocation: { generation, resources, inEffectAtMs: clock.wallMs() },
  }
  told.set(uidOf(pod), observed)
  return observed
}

function running(name: string, size: Sized): Pod {
  const pod = wanted(name, size)
  tells(pod, size)
  return pod
}

const cpuOf = (pod: Pod): string => pod.spec?.containers[0]?.resources?.requests?.['cpu'] ?? ''
const look = (pod: Pod) => allocations.look(pod, told.get(uidOf(pod)))

describe('a Pod that asks for another size', () => {
  test('is granted it when there is room, and the backend is to be told', () => {
    running('a', { cpu: '2' })
    const bigger = wanted('a', { cpu: '6', generation: 2 })
    expect(cpuOf(allocations.sized(bigger))).toBe('2')
    expect(look(bigger)).toEqual({ granted: true, pending: undefined })
    expect(allocations.handOver(bigger)).toBe(bigger)
    tells(bigger, { cpu: '6', generation: 2 })
    expect(look(bigger)).toEqual({ granted: false, pending: undefined })
  })

  test('keeps what it has while there is none, and is not asked about again and again', () => {
    running('a', { cpu: '2' })
    running('b', { cpu: '5' })
    const bigger = wanted('a', { cpu: '6', generation: 2 })
    expect(look(bigger)).toMatchObject({
      granted: false,
      pending: { reason: 'Deferred', cause: 'OutOfcpu', generation: 2 },
    })
    const handed = allocations.handOver(bigger)
    expect(cpuOf(handed)).toBe('2')
    expect(handed.metadata?.generation).toBe(2)
    // Room that came without a sign is found by the next retry only.
    node = aNode({ allocatable: { cpu: '16' } })
    expect(look(bigger)).toMatchObject({ granted: false })
    allocations.retry()
    expect(changed).toEqual([uidOf(bigger)])
    expect(look(bigger)).toMatchObject({ granted: true })
  })

  test('counts at what is set aside for it when others ask', () => {
    running('a', { cpu: '2' })
    running('b', { cpu: '5' })
    look(wanted('a', { cpu: '6', generation: 2 }))
    expect(look(wanted('b', { cpu: '6', generation: 2 }))).toMatchObject({ granted: true })
  })

  test('gives up by asking for what it has', () => {
    running('a', { cpu: '2' })
    running('b', { cpu: '5' })
    look(wanted('a', { cpu: '6', generation: 2 }))
    expect(look(wanted('a', { cpu: '2', generation: 3 }))).toEqual({ granted: false, pending: undefined })
  })

  test('has its answer anew with every generation', () => {
    running('a', { cpu: '2' })
    running('b', { cpu: '5' })
    look(wanted('a', { cpu: '6', generation: 2 }))
    expect(look(wanted('a', { cpu: '3', generation: 3 }))).toMatchObject({ granted: true })
  })

  test('is told once and for all that this backend does not do it', () => {
    canResize = false
    running('a', { cpu: '2' })
    const bigger = wanted('a', { cpu: '3', generation: 2 })
    expect(look(bigger)).toMatchObject({ granted: false, pending: { reason: 'Infeasible' } })
    canResize = true
    allocations.retry()
    expect(look(bigger)).toMatchObject({ granted: false, pending: { reason: 'Infeasible' } })
  })

  test('goes back to what it had when the backend will not do it after all', () => {
    running('a', { cpu: '2' })
    const bigger = wanted('a', { cpu: '3', generation: 2 })
    look(bigger)
    allocations.refused(uidOf(bigger), 2, 'no')
    expect(cpuOf(allocations.sized(bigger))).toBe('2')
    expect(look(bigger)).toMatchObject({ pending: { reason: 'Infeasible', message: 'no' } })
  })

  test('stays as it was while nobody can say', () => {
    const pod = running('a', { cpu: '2' })
    const bigger = wanted('a', { cpu: '3', generation: 2 })
    node = undefined
    expect(look(bigger)).toEqual({ granted: false, pending: 'unknown' })
    node = aNode()
    expect(look(bigger)).toMatchObject({ granted: true })
    told.set(uidOf(pod), { ...tells(pod, { cpu: '2' }), supervised: false })
    makeAllocations()
    expect(look(bigger)).toEqual({ granted: false, pending: 'unknown' })
  })
})

describe('when room comes', () => {
  test('it goes to whoever is first in kubelet’s order, not to who asked first', async () => {
    const held = running('held', { cpu: '5' })
    for (const name of ['plain', 'important', 'later']) running(name, { cpu: '1' })
    const plain = wanted('plain', { cpu: '6', generation: 2 })
    look(plain)
    await clock.advance(10)
    const important = wanted('important', { cpu: '6', generation: 2, priority: 10 })
    look(important)
    await clock.advance(10)
    const later = wanted('later', { cpu: '6', generation: 2 })
    look(later)
    changed.length = 0

    store.remove(held)
    told.delete(uidOf(held))
    allocations.retryIfFreed()
    expect(look(important)).toMatchObject({ granted: true })
    expect(look(plain)).toMatchObject({ granted: false })
    expect(changed).toContain(uidOf(important))

    store.remove(important)
    told.delete(uidOf(important))
    allocations.retryIfFreed()
    expect(look(plain)).toMatchObject({ granted: true })
    expect(look(later)).toMatchObject({ granted: false })
  })

  test('nobody is asked again while as much is held as before', () => {
    running('a', { cpu: '2' })
    running('b', { cpu: '5' })
    const bigger = wanted('a', { cpu: '6', generation: 2 })
    look(bigger)
    node = aNode({ allocatable: { cpu: '16' } })
    allocations.retryIfFreed()
    expect(look(bigger)).toMatchObject({ granted: false })
  })

  test('a size that is set aside but still in effect at more does not make room', () => {
    running('a', { cpu: '2' })
    const status = (cpu: string): Pod['status'] => ({
      containerStatuses: [
        {
          name: 'main',
          image: '',
          imageID: '',
          ready: true,
          restartCount: 0,
          allocatedResources: { cpu: '1' },
          resources: { requests: { cpu } },
        },
      ],
    })
    running('b', { cpu: '1', generation: 2, status: status('5') })
    const bigger = wanted('a', { cpu: '6', generation: 2 })
    expect(look(bigger)).toMatchObject({ granted: false })
    running('b', { cpu: '1', generation: 2, status: status('1') })
    allocations.retryIfFreed()
    expect(look(bigger)).toMatchObject({ granted: true })
  })
})

describe('a new Pod', () => {
  test('keeps the size that it was let in with, until the backend has it', () => {
    const pod = wanted('a', { cpu: '2' })
    allocations.letIn(pod)
    const bigger = wanted('a', { cpu: '3', generation: 2 })
    const handed = allocations.handOver(bigger)
    expect([cpuOf(handed), handed.metadata?.generation]).toEqual(['2', 1])
    expect(allocations.besides(undefined).map(cpuOf)).toEqual(['2'])
  })

  test('begins at the size that it asks for when the backend has lost it', () => {
    const pod = wanted('a', { cpu: '2' })
    allocations.letIn(pod)
    const bigger = wanted('a', { cpu: '3', generation: 2 })
    allocations.lost(bigger)
    expect(allocations.handOver(bigger)).toBe(bigger)
  })

  test('does not count before it is let in, nor once it is over', () => {
    const pod = wanted('a', { cpu: '2' })
    expect(allocations.besides(undefined)).toEqual([])
    allocations.letIn(pod)
    expect(allocations.besides(undefined)).toHaveLength(1)
    wanted('a', { cpu: '2', generation: 2, status: { phase: 'Succeeded' } })
    expect(allocations.besides(undefined)).toEqual([])
  })
})

test('after a restart who was deferred first is first again', () => {
  running('held', { cpu: '4' })
  const since = (seconds: number): Pod['status'] => ({
    conditions: [
      {
        type: 'PodResizePending',
        status: 'True',
        reason: 'Deferred',
        lastTransitionTime: kubeTime(clock.wallMs() - seconds * 1000),
      },
    ],
  })
  for (const name of ['second', 'first']) running(name, { cpu: '1' })
  const second = wanted('second', { cpu: '6', generation: 2, status: since(5) })
  const first = wanted('first', { cpu: '6', generation: 2, status: since(9) })
  look(second)
  look(first)
  node = aNode({ allocatable: { cpu: '11' } })
  allocations.retry()
  expect(look(first)).toMatchObject({ granted: true })
  expect(look(second)).toMatchObject({ granted: false })
  expect(resourcesOf(allocations.sized(second)).containers['main']).toEqual({ requests: { cpu: '1' } })
})
