import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventNote } from '../../src/kube/events.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Namespace, Node, Pod } from '../../src/model/kubernetes.ts'
import { tellMissedPlacements } from '../../src/scheduling/missed-placement.ts'
import { kubeTime } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { boundSample, podSample, serverSample, virtualSample, type PodSample } from './samples.ts'

const clock = new FakeClock()
let pods: ObjectStore<Pod>
let told: EventNote[]
let always: { readonly title: string; readonly createdMs: number } | undefined
let ending: AbortController
let running: Promise<void>

/** Comes to a cluster of these Pods. */
async function come(there: readonly Pod[]): Promise<void> {
  const log = silentLog()
  pods = new ObjectStore<Pod>({ log })
  const nodes = new ObjectStore<Node>({ log })
  const namespaces = new ObjectStore<Namespace>({ log })
  const events = { record: (note: EventNote): void => void told.push(note) }
  const alwaysPolicyOf = (): typeof always => always
  running = tellMissedPlacements({ pods, nodes, namespaces, alwaysPolicyOf, events, clock }, ending.signal)
  pods.replaceAll(there)
  nodes.replaceAll([serverSample(), virtualSample()])
  namespaces.replaceAll([{ metadata: { name: 'out', labels: { 'spillway.dev/placement': 'virtual' } } }])
  await settled()
}

beforeEach(() => {
  told = []
  always = undefined
  ending = new AbortController()
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

/** One that the scheduler bound so long ago. */
function boundAgo(minutes: number, sample: PodSample = {}): Pod {
  const lastTransitionTime = kubeTime(clock.wallMs() - minutes * 60_000)
  const conditions = [{ type: 'PodScheduled', status: 'True', lastTransitionTime }]
  return boundSample('server-0', { ...virtual, ...sample, status: { conditions, ...sample.status } })
}

it('tells of a Pod of placement virtual that was bound to a server, once', async () => {
  await come([])
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

it('counts the namespace’s placement', async () => {
  await come([])
  bind('server-0', { namespace: 'out' })
  expect(told).toHaveLength(1)
})

it('says nothing of one that is where it belongs, or that may be anywhere', async () => {
  await come([])
  bind('burst-0', virtual)
  bind('server-0', {})
  bind('server-0', { ...virtual, owner: 'DaemonSet' })
  bind('server-0', { labels: { 'spillway.dev/placement': 'server' }, namespace: 'out' })
  bind('elsewhere', virtual)
  expect(told).toEqual([])
})

it('tells of those that were bound while nobody was here, and not of old news', async () => {
  await come([
    boundAgo(5, { name: 'missed' }),
    boundAgo(61, { name: 'old' }),
    boundAgo(5, { name: 'over', status: { phase: 'Succeeded' } }),
    boundAgo(5, { name: 'meant', labels: { 'spillway.dev/placement': 'server' } }),
    // Made with its node's name: no scheduler has bound it.
    boundSample('server-0', { name: 'pinned', ...virtual }),
  ])
  expect(told.map(({ object }) => object.name)).toEqual(['missed'])
})

it('tells of one that was made and bound while the watch was broken', async () => {
  await come([])
  pods.replaceAll([boundAgo(1), boundAgo(61, { name: 'old' })])
  expect(told.map(({ object }) => object.name)).toEqual(['web-1'])
})

it('tells of one whose burst policy said Always before it was made', async () => {
  await come([])
  always = { title: 'BurstPolicy shop/web', createdMs: clock.wallMs() }
  const made = (name: string, afterMs: number): Pod => {
    const pod = boundSample('server-0', { name })
    return { ...pod, metadata: { ...pod.metadata, creationTimestamp: kubeTime(clock.wallMs() + afterMs) } }
  }
  bind('server-0', { name: 'older' })
  const { metadata } = made('later', 5_000)
  pods.put({ ...podSample({ name: 'later' }), metadata: metadata! })
  pods.put({ ...made('later', 5_000), metadata: { ...metadata, resourceVersion: '8' } })
  expect(told.map(({ object, message }) => `${object.name}: ${message}`)).toEqual([
    expect.stringMatching(/^later: it is on server server-0 though BurstPolicy shop\/web says Always: /),
  ])
})
