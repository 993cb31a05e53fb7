import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { KubeApi, ObjectName, Patch, Resource } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeObject, Node, Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import type { ScaleInOrder } from '../../src/scheduling/deletion-cost.ts'
import { runScaleIn } from '../../src/scheduling/scale-in.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { applyJsonPatch } from '../support/apply-json-patch.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { boundSample, podSample, serverSample, virtualSample } from './samples.ts'

const log = silentLog()
const ours = { [deletionCostAnnotation]: '-1000', [deletionCostSetAnnotation]: '-1000' }

let clock: FakeClock
let ending: AbortController
let running: Promise<void>
let pods: ObjectStore<Pod>
let nodes: ObjectStore<Node>
/** Undefined: not known yet. */
let order: ScaleInOrder | undefined
let listeners: Set<() => void>
let writes: number
let version = 100

beforeEach(async () => {
  clock = new FakeClock()
  ending = new AbortController()
  pods = new ObjectStore<Pod>({ log })
  nodes = new ObjectStore<Node>({ log })
  order = 'VirtualFirst'
  listeners = new Set()
  writes = 0
  const patch = async <T extends KubeObject>(_resource: Resource<T>, object: ObjectName, { body }: Patch) => {
    const pod = pods.get(object)
    if (!pod) throw new Error(`${object.name} is not there`)
    const written = applyJsonPatch(pod, body as Parameters<typeof applyJsonPatch>[1])
    writes += 1
    next(written)
    return written as KubeObject as T
  }
  running = runScaleIn(
    {
      api: { patch } satisfies Pick<KubeApi, 'patch'>,
      pods,
      nodes,
      orderOf: () => order,
      onOrder: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      clock,
      random: () => 0,
      log,
    },
    ending.signal,
  )
})
afterEach(async () => {
  ending.abort()
  await running
})

/** A newer form of a Pod, or a new one. */
function next(pod: Pod): void {
  version += 1
  pods.put({ ...pod, metadata: { ...pod.metadata, resourceVersion: `${version}` } })
}

async function see(pod: Pod, known: readonly Node[] = [serverSample(), virtualSample()]): Promise<void> {
  pods.replaceAll([pod])
  nodes.replaceAll(known)
  await clock.advance(1_000)
}

async function learn(learned: ScaleInOrder): Promise<void> {
  order = learned
  for (const listener of listeners) listener()
  await clock.advance(1_000)
}

function webOn(node: string, annotations?: Record<string, string>): Pod {
  const pod = boundSample(node, { owner: 'ReplicaSet' })
  return annotations ? { ...pod, metadata: { ...pod.metadata, annotations } } : pod
}

function annotationsNow(): Record<string, string> | undefined {
  return pods.list()[0]?.metadata?.annotations
}

describe('a Pod on a virtual node', () => {
  test('gets our cost, with a mark that says it is ours', async () => {
    await see(webOn('burst-0'))
    expect(annotationsNow()).toEqual(ours)
    expect(writes).toBe(1)
  })

  test('keeps what its people wrote, and what they took away', async () => {
    const own = { [deletionCostAnnotation]: '7' }
    await see(webOn('burst-0', own))
    expect(annotationsNow()).toEqual(own)
    const freed = { [deletionCostSetAnnotation]: '-1000' }
    next(webOn('burst-0', freed))
    await clock.advance(1_000)
    expect(writes).toBe(0)
  })

  test('of a kind that nobody scales in by cost gets none', async () => {
    await see(boundSample('burst-0', { owner: 'StatefulSet' }))
    await see(boundSample('burst-0'))
    expect(writes).toBe(0)
  })

  test('gets it once its node is known', async () => {
    await see(webOn('burst-0'), [])
    expect(writes).toBe(0)
    nodes.put(virtualSample())
    await clock.advance(1_000)
    expect(annotationsNow()).toEqual(ours)
  })
})

describe('a Pod on a server', () => {
  test('loses our cost, which was written as it was let out', async () => {
    const sent = { ...ours, app: 'own' }
    const unbound = podSample({ owner: 'ReplicaSet' })
    await see({ ...unbound, metadata: { ...unbound.metadata, annotations: sent } })
    expect(annotationsNow()).toEqual(sent)
    next(webOn('server-0', { ...ours, app: 'own' }))
    await clock.advance(1_000)
    expect(annotationsNow()).toEqual({ app: 'own' })
    expect(writes).toBe(1)
  })

  test('keeps a cost that somebody wrote over ours', async () => {
    const over = { ...ours, [deletionCostAnnotation]: '5' }
    await see(webOn('server-0', over))
    expect(annotationsNow()).toEqual(over)
  })

  test('is none while its node is not known', async () => {
    await see(webOn('burst-0', ours), [])
    expect(annotationsNow()).toEqual(ours)
  })
})

describe('a policy', () => {
  test('that is not known yet is waited for', async () => {
    order = undefined
    await see(webOn('burst-0'))
    await clock.advance(60_000)
    expect(writes).toBe(0)
    await learn('VirtualFirst')
    expect(annotationsNow()).toEqual(ours)
  })

  test('that leaves the order to Kubernetes is heard, also when it comes later or is taken back', async () => {
    order = undefined
    await see(webOn('burst-0'))
    await learn('None')
    expect(writes).toBe(0)
    await learn('VirtualFirst')
    expect(annotationsNow()).toEqual(ours)
    await learn('None')
    expect(annotationsNow()).toEqual({})
    await learn('VirtualFirst')
    expect(annotationsNow()).toEqual(ours)
  })
})
