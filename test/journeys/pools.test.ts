/** VirtualNodePools on a real control plane: made, scaled, changed, drained and deleted, with simulated containers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { events, nodes, pods, virtualNodePools } from '../../src/kube/resources.ts'
import { errorMessage, hasCode } from '../../src/model/errors.ts'
import type { Node, Pod } from '../../src/model/kubernetes.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { budget, budgets } from '../support/budgets.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
const namespace = 'shop'
const backends = [
  { name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } },
  { name: 'other', kind: 'simulator', options: { cpu: '64' } },
]
let journey: JourneyApp
const made: string[] = []

beforeAll(async () => {
  const pools = [{ name: 'burst', backend: 'local', replicas: 2, capacity: { cpu: 8, memory: '32Gi' } }]
  journey = await JourneyApp.start({ clusterName: 'pools', backends, pools }, signal)
  await createNamespace(journey.api, { name: namespace }, signal)
})

afterAll(async () => {
  await journey?.[Symbol.asyncDispose]()
  ending.abort()
})

test('a pool of the configuration file becomes an object, and is ready', async () => {
  await isReady('burst', 2)
  const { spec, status, metadata } = await pool('burst')
  expect(spec).toMatchObject({ replicas: 2, backend: 'local', capacity: { cpu: '8', memory: '32Gi' } })
  expect(status).toMatchObject({
    instance: 'pools',
    replicas: 2,
    pods: 0,
    selector: 'spillway.dev/pool=burst',
  })
  expect(metadata?.finalizers).toEqual(['spillway.dev/nodes'])
})

describe('a pool that people make', () => {
  test('gets its nodes, each on a port of its own', async () => {
    await create('extra', {
      backend: 'other',
      replicas: 2,
      labels: { disk: 'ssd' },
      taints: [tainted('team')],
    })
    await isReady('extra', 2)
    const all = await nodesOf('extra')
    expect(all.map(({ metadata }) => metadata?.name)).toEqual(['extra-0', 'extra-1'])
    const ports = [...all, ...(await nodesOf('burst'))].map(
      ({ status }) => status?.daemonEndpoints?.kubeletEndpoint?.Port,
    )
    expect(new Set(ports).size).toBe(4)
    // Half of the backend each.
    expect(all.map(({ status }) => status?.allocatable?.['cpu'])).toEqual(['32', '32'])
  })

  test('has what is edited on each of its nodes, and no more what is taken away', async () => {
    await edit('extra', {
      labels: { tier: 'gold', disk: null },
      taints: [tainted('other')],
      capacity: { cpu: 3 },
    })
    await until(
      'both nodes have it',
      async () =>
        (await nodesOf('extra')).every(
          ({ metadata, spec, status }) =>
            metadata?.labels?.['tier'] === 'gold' &&
            !('disk' in metadata.labels) &&
            spec?.taints?.some(({ key }) => key === 'other') &&
            !spec.taints.some(({ key }) => key === 'team') &&
            status?.allocatable?.['cpu'] === '3',
        ),
      signal,
    )
  })

  test('is cordoned and uncordoned while it runs; what people cordon by hand stays', async () => {
    await journey.api.patch(nodes, { name: 'extra-1' }, merge({ spec: { unschedulable: true } }), signal)
    await edit('extra', { cordoned: true })
    await until(
      'extra-0 is cordoned',
      async () => (await node('extra-0')).spec?.unschedulable === true,
      signal,
    )
    expect((await stateOf('extra')).reason).toBe('Cordoned')
    await edit('extra', { cordoned: false })
    await until('extra-0 is open', async () => !(await node('extra-0')).spec?.unschedulable, signal)
    expect((await node('extra-1')).spec?.unschedulable).toBe(true)
    await journey.api.patch(nodes, { name: 'extra-1' }, merge({ spec: { unschedulable: null } }), signal)
  })

  test('grows and shrinks by kubectl scale; empty nodes go first, wherever they are', async () => {
    await scale('extra', 4)
    await isReady('extra', 4)
    await runOn('extra-0')
    await runOn('extra-2')
    await scale('extra', 2)
    await isReady('extra', 2)
    expect((await nodesOf('extra')).map(({ metadata }) => metadata?.name)).toEqual(['extra-0', 'extra-2'])
    // The freed share of the backend is offered by those that are left, where the pool does not say otherwise.
    await until(
      'both offer half of it',
      async () => (await nodesOf('extra')).every(({ status }) => status?.allocatable?.['memory'] === '2Ti'),
      signal,
    )
    await until(
      'it is told of',
      async () => {
        const told = await toldOf('extra')
        return ['NodeAdded', 'NodeRetiring', 'NodeRemoved'].every((reason) => told.includes(reason))
      },
      signal,
    )
  })
})

describe('a node that has to go with Pods on it', () => {
  test('waits for PodDisruptionBudgets, says so, and goes when they let it', async () => {
    await journey.api.create(budgets, budget({ namespace, name: 'all' }, 2), signal)
    await until(
      'the budget counts',
      async () => {
        const { status } = await journey.api.get(budgets, { namespace, name: 'all' }, signal)
        return status?.expectedPods === 2
      },
      signal,
    )
    await scale('extra', 1)
    await until(
      'it is said what is in the way',
      async () => (await toldOf('extra')).includes('DrainBlocked'),
      signal,
    )
    // The event comes first, the status when all of it is known.
    await until(
      'the pool says it, too',
      async () => {
        const { reason, message } = await stateOf('extra')
        return reason === 'ScalingDown' && message.includes('disruption budget')
      },
      signal,
    )
    expect((await nodesOf('extra')).length).toBe(2)

    // In the middle of it Spillway ends and comes back: the same node goes.
    const leaving = (await nodesOf('extra')).find(
      ({ metadata }) => metadata?.annotations?.['spillway.dev/retiring'],
    )
    expect(leaving?.spec?.unschedulable).toBe(true)
    await journey.end()
    journey.begin()
    await journey.api.delete(budgets, { namespace, name: 'all' }, {}, signal)
    await isReady('extra', 1)
    expect((await nodesOf('extra'))[0]?.metadata?.name).not.toBe(leaving?.metadata?.name)
  })

  test('a drained pool keeps its nodes and loses its Pods', async () => {
    await edit('extra', { drained: true })
    await until('no Pod is left', async () => (await podsIn('extra')).length === 0, signal)
    await until('it says so', async () => (await stateOf('extra')).reason === 'Drained', signal)
    expect((await nodesOf('extra')).length).toBe(1)
    await edit('extra', { drained: false })
    await isReady('extra', 1)
  })
})

describe('deleting', () => {
  test('a pool or a node with Pods is refused, with what to do', async () => {
    const [only] = await nodesOf('extra')
    const name = only?.metadata?.name ?? ''
    await runOn(name)
    await until('the pool counts it', async () => (await pool('extra')).status?.pods === 1, signal)
    await expect(remove('extra')).rejects.toThrow('pool extra is in use (Pods: 1): set spec.drained=true')
    await expect(journey.api.delete(nodes, { name }, {}, signal)).rejects.toThrow(
      `virtual node ${name} is in use: kubectl drain ${name}`,
    )
  })

  test('a pool by force drains it first, and leaves nothing', async () => {
    await removeByForce('extra')
    await isGone('extra')
    expect(await nodesOf('extra')).toEqual([])
    expect(await podsIn('extra')).toEqual([])
  })

  test('an empty pool just goes, and may come again', async () => {
    await create('extra', { backend: 'other' })
    await isReady('extra', 1)
    await remove('extra')
    await isGone('extra')
    expect(await nodesOf('extra')).toEqual([])
    await create('extra', { backend: 'other' })
    await isReady('extra', 1)
  })

  test('a node that is deleted while it is empty comes again', async () => {
    const before = await node('extra-0')
    await until(
      'it is not in use',
      async () => (await node('extra-0')).metadata?.annotations?.['spillway.dev/in-use'] === 'false',
      signal,
    )
    await journey.api.delete(nodes, { name: 'extra-0' }, {}, signal)
    await until(
      'another of its name is there',
      async () => {
        const { items } = await journey.api.list(nodes, {}, signal)
        return items.some(
          ({ metadata }) => metadata?.name === 'extra-0' && metadata.uid !== before.metadata?.uid,
        )
      },
      signal,
    )
    await isReady('extra', 1)
  })

  test('a node that is deleted by force comes again, and its Pods are evicted', async () => {
    await runOn('extra-0', { terminationGracePeriodSeconds: 0 })
    const before = await node('extra-0')
    const annotations = { 'spillway.dev/force-delete': 'true' }
    await journey.api.patch(nodes, { name: 'extra-0' }, merge({ metadata: { annotations } }), signal)
    await journey.api.delete(nodes, { name: 'extra-0' }, {}, signal)
    await until('its Pods are gone', async () => (await podsIn('extra')).length === 0, signal)
    await until(
      'another of its name is there',
      async () => {
        const { items } = await journey.api.list(nodes, {}, signal)
        const now = items.find(({ metadata }) => metadata?.name === 'extra-0')
        return now !== undefined && now.metadata?.uid !== before.metadata?.uid
      },
      signal,
    )
    await isReady('extra', 1)
  })
})

describe('a pool whose backend is not there', () => {
  test('is not taken, says why, and can be deleted', async () => {
    await create('astray', { backend: 'nowhere', priceBook: 'no-such-book' })
    await until('it says so', async () => (await stateOf('astray')).reason === 'NotAccepted', signal)
    const accepted = (await pool('astray')).status?.conditions?.find(({ type }) => type === 'Accepted')
    expect(accepted).toMatchObject({ status: 'False', reason: 'Invalid' })
    expect(accepted?.message).toContain('spec.backend: found "nowhere"; allowed: local, other')
    expect(accepted?.message).toContain('spec.priceBook: found "no-such-book"; allowed: tencent-eks-intl')
    await remove('astray')
    await isGone('astray')
  })

  test('since the configuration has lost it: deleted by force, it does not hold the pool', async () => {
    await edit('extra', { drainTimeoutSeconds: 0 })
    await runOn('extra-0', { terminationGracePeriodSeconds: 1 })
    await until('the pool counts it', async () => (await pool('extra')).status?.pods === 1, signal)
    await journey.end()
    journey.begin({ backends: backends.slice(0, 1) })
    await until(
      'it is not taken any more',
      async () => (await stateOf('extra')).reason === 'NotAccepted',
      signal,
    )
    await removeByForce('extra')
    await isGone('extra')
    expect(await nodesOf('extra')).toEqual([])
  })
})

describe('a pool that follows its load', () => {
  test('gets nodes for what waits, and gives up those that are long empty', async () => {
    await create('tide', {
      backend: 'local',
      replicas: 1,
      capacity: { cpu: 100, pods: 3 },
      autoscale: { minNodes: 1, maxNodes: 4, idleSeconds: 1 },
    })
    await isReady('tide', 1)
    const names = Array.from({ length: 8 }, (_, index) => `wave-${index}`)
    for (const name of names) await journey.api.create(pods, podFor('tide', name), signal)
    await until('all run', async () => (await podsIn('tide')).filter(isRunning).length === 8, signal)
    const { status, spec } = await pool('tide')
    expect(spec?.['replicas']).toBe(3)
    expect(status?.replicas).toBe(3)
    await until('it is told of', async () => (await toldOf('tide')).includes('Scaled'), signal)
    for (const name of names) await journey.api.delete(pods, { namespace, name }, {}, signal)
    await isReady('tide', 1)
  })

  test('may have no node while nobody asks for one, and gets one for the first who does', async () => {
    await create('ebb', {
      backend: 'local',
      replicas: 0,
      capacity: { cpu: 100, pods: 3 },
      autoscale: { minNodes: 0, maxNodes: 2, sparePercent: 0, idleSeconds: 1 },
    })
    await until('it is seen', async () => (await stateOf('ebb')).reason !== '', signal)
    expect(await nodesOf('ebb')).toEqual([])
    // One that overflow has to let out, once there is a node to look at; it does not tolerate anything by itself.
    const { tolerations: _, ...spec } = podFor('ebb', 'first').spec ?? { containers: [] }
    await journey.api.create(pods, { metadata: { namespace, name: 'first' }, spec }, signal)
    await until('it runs', async () => (await podsIn('ebb')).filter(isRunning).length === 1, signal)
    expect((await pool('ebb')).spec?.['replicas']).toBe(1)
    await journey.api.delete(pods, { namespace, name: 'first' }, {}, signal)
    await until('it has no node again', async () => (await nodesOf('ebb')).length === 0, signal)
    expect((await pool('ebb')).spec?.['replicas']).toBe(0)
    // And once more: what a node holds is known by now, and there is none.
    await journey.api.create(pods, podFor('ebb', 'second'), signal)
    await until('it runs', async () => (await podsIn('ebb')).filter(isRunning).length === 1, signal)
    await journey.api.delete(pods, { namespace, name: 'second' }, {}, signal)
    await until('it has no node again', async () => (await nodesOf('ebb')).length === 0, signal)
  })
})

// ---- what people do ----

function pool(name: string): Promise<VirtualNodePool> {
  return journey.api.get(virtualNodePools, { name }, signal)
}

async function create(name: string, spec: Record<string, unknown>): Promise<void> {
  const object = { apiVersion: 'spillway.dev/v1alpha1', kind: 'VirtualNodePool', metadata: { name }, spec }
  await journey.api.create<VirtualNodePool>(virtualNodePools, object, signal)
}

async function edit(name: string, spec: Record<string, unknown>): Promise<void> {
  await journey.api.patch(virtualNodePools, { name }, merge({ spec }), signal)
}

async function scale(name: string, replicas: number): Promise<void> {
  const patch = { ...merge({ spec: { replicas } }), subresource: 'scale' }
  await journey.api.patch(virtualNodePools, { name }, patch, signal)
}

async function remove(name: string): Promise<void> {
  await journey.api.delete(virtualNodePools, { name }, {}, signal)
}

async function removeByForce(name: string): Promise<void> {
  const annotations = { 'spillway.dev/force-delete': 'true' }
  await journey.api.patch(virtualNodePools, { name }, merge({ metadata: { annotations } }), signal)
  await remove(name)
}

function merge(body: object) {
  return { type: 'merge', body } as const
}

function tainted(key: string) {
  return { key, effect: 'NoExecute' }
}

async function runOn(name: string, more: object = {}): Promise<void> {
  const before = made.length
  made.push(name)
  const pod = podFor(name.replace(/-\d+$/, ''), `on-${name}-${before}`, { ...more, nodeName: name })
  await journey.api.create(pods, pod, signal)
  await until(
    `a Pod runs on ${name}`,
    async () => isRunning(await journey.api.get(pods, { namespace, name: pod.metadata?.name ?? '' }, signal)),
    signal,
  )
}

function podFor(poolName: string, name: string, more: object = {}): Pod {
  return {
    metadata: { namespace, name },
    spec: {
      nodeSelector: { 'spillway.dev/pool': poolName },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }],
      ...more,
    },
  }
}

// ---- what is seen ----

async function isReady(name: string, count: number): Promise<void> {
  await until(
    `pool ${name} has ${count} nodes, all ready`,
    async () => {
      const { items } = await journey.api.list<VirtualNodePool>(virtualNodePools, {}, signal)
      const { status } = items.find(({ metadata }) => metadata?.name === name) ?? {}
      return (
        status?.replicas === count &&
        status.readyReplicas === count &&
        status.conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'Ready') === true &&
        (await nodesOf(name)).length === count
      )
    },
    signal,
  )
}

async function isGone(name: string): Promise<void> {
  await until(
    `pool ${name} is gone`,
    async () => {
      try {
        await pool(name)
        return false
      } catch (error) {
        if (hasCode(error, 'NotFound')) return true
        throw new Error(errorMessage(error), { cause: error })
      }
    },
    signal,
  )
}

async function stateOf(name: string): Promise<{ reason: string; message: string }> {
  const { status } = await pool(name)
  return status?.conditions?.find(({ type }) => type === 'Ready') ?? { reason: '', message: '' }
}

async function nodesOf(name: string): Promise<Node[]> {
  const { items } = await journey.api.list(nodes, { labelSelector: `spillway.dev/pool=${name}` }, signal)
  return items.toSorted((a, b) => (a.metadata?.name ?? '').localeCompare(b.metadata?.name ?? ''))
}

function node(name: string): Promise<Node> {
  return journey.api.get(nodes, { name }, signal)
}

async function podsIn(name: string): Promise<Pod[]> {
  const { items } = await journey.api.list(pods, { namespace }, signal)
  return items.filter(({ spec }) => spec?.nodeName?.startsWith(`${name}-`))
}

function isRunning({ status }: Pod): boolean {
  return status?.phase === 'Running'
}

/** Reasons of the events about a pool. */
async function toldOf(name: string): Promise<string[]> {
  const { items } = await journey.api.list(events, { namespace: 'default' }, signal)
  return items
    .filter(({ involvedObject }) => involvedObject.kind === 'VirtualNodePool' && involvedObject.name === name)
    .map(({ reason }) => reason ?? '')
}
