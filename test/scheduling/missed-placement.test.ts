import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventNote } from '../../src/kube/events.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Namespace, Node, Pod } from '../../src/model/kubernetes.ts'
import { tellMissedPlacements } from '../../src/scheduling/missed-placement.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { boundSample, podSample, serverSample, virtualSample, type PodSample } from './samples.ts'

let pods: ObjectStore<Pod>
let told: EventNote[]
let ending: AbortController
let running: Promise<void>

beforeEach(() => {
  const log = silentLog()
  pods = new ObjectStore<Pod>({ log })
  const nodes = new ObjectStore<Node>({ log })
  const namespaces = new ObjectStore<Namespace>({ log })
  nodes.replaceAll([serverSample(), virtualSample()])
  namespaces.replaceAll([{ metadata: { name: 'out', labels: { 'spillway.dev/placement': 'virtual' } } }])
  told = []
  ending = new AbortController()
  const events = { record: (note: EventNote): void => void told.push(note) }
  running = tellMissedPlacements({ pods, nodes, namespaces, events }, ending.signal)
})
afterEach(async () => {
  ending.abort()
  await running
})

const virtual = { labels: { 'spillway.dev/placement': 'virtual' } }

function bind(node: string, sample: PodSample): void {
  pods.put(podSample(sample))
  const bound = boundSample(node, sample)
  pods.put({ ...bound, metadata: { ...bound.metadata, resourceVersion: '8' } })
}

it('tells of a Pod of placement virtual that was bound to a server, once', () => {
  bind('server-0', virtual)
  const again = boundSample('server-0', virtual)
  pods.put({ ...again, metadata: { ...again.metadata, resourceVersion: '9' } })
  expect(told).toEqual([
    {
      object: expect.objectContaining({ kind: 'Pod', name: 'web-1' }),
      type: 'Warning',
      reason: 'PlacementMissed',
      message: expect.stringContaining('it is on server server-0 though its placement is virtual'),
    },
  ])
})

it('counts the namespace’s placement', () => {
  bind('server-0', { namespace: 'out' })
  expect(told).toHaveLength(1)
})

it('says nothing of one that is where it belongs, or that may be anywhere', () => {
  bind('burst-0', virtual)
  bind('server-0', {})
  bind('server-0', { ...virtual, owner: 'DaemonSet' })
  bind('server-0', { labels: { 'spillway.dev/placement': 'server' }, namespace: 'out' })
  bind('elsewhere', virtual)
  expect(told).toEqual([])
})

it('says nothing of one that was there before', () => {
  pods.replaceAll([boundSample('server-0', virtual)])
  expect(told).toEqual([])
})
