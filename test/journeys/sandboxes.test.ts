/** What sandboxes are made by, on a real control plane: gVisor or what a pool says, and nothing else. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { events, nodes, pods, virtualNodePools } from '../../src/kube/resources.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { noSandboxTaintKey, sandboxReadyCondition } from '../../src/model/words.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { until as untilOrAborted } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
const namespace = 'shop'
const quick = { sandboxMs: 10, pullMs: 10, startMs: 10 }
let journey: JourneyApp

beforeAll(async () => {
  const backends = [
    { name: 'bare', kind: 'simulator', options: { ...quick, sandboxHandlers: { runc: 'runc' } } },
    {
      name: 'full',
      kind: 'simulator',
      options: { ...quick, sandboxHandlers: { runc: 'runc', runsc: 'gvisor' } },
    },
  ]
  const pools = ['bare', 'full'].map((name) => ({
    name,
    backend: name,
    replicas: 1,
    security: { allow: ['hostNetwork'] },
  }))
  journey = await JourneyApp.start({ clusterName: 'sandboxes', backends, pools }, signal)
  await createNamespace(journey.api, { name: namespace }, signal)
})

afterAll(async () => {
  await journey?.[Symbol.asyncDispose]()
  ending.abort()
})

test('a pool that says nothing gets gVisor where the backend has it', async () => {
  await until('it is ready', async () => (await condition('full', 'Ready'))?.status === 'True')
  expect((await condition('full', 'SandboxReady'))?.message).toMatch(/^sandboxes are made by runsc \(gVisor/)
  expect(await nodeCondition('full-0')).toMatchObject({ status: 'True' })
  await create('sealed', 'full-0')
  await until('the Pod runs', async () => (await pod('sealed')).status?.phase === 'Running')
})

test('a Pod that gVisor cannot hold is refused with the field and the reason, and runs where the pool says runc', async () => {
  await create('networked', 'full-0', { hostNetwork: true })
  await until('it is refused', async () => (await pod('networked')).status?.phase === 'Failed')
  const { reason, message } = (await pod('networked')).status ?? {}
  expect(reason).toBe('UnsupportedPodSpec')
  expect(message).toContain('spec.hostNetwork: host network is not offered here (a gVisor sandbox has')
  await say('full', 'runc')
  await until(
    'the node says so',
    async () => (await nodeCondition('full-0'))?.message?.includes('runc') ?? false,
  )
  await create('networked-again', 'full-0', { hostNetwork: true })
  await until('it runs', async () => (await pod('networked-again')).status?.phase === 'Running')
})

test('without gVisor nothing starts, and pool, node and Pod say why and what to do', async () => {
  await until('the pool says so', async () => (await condition('bare', 'SandboxReady'))?.status === 'False')
  const why = 'nothing says what sandboxes are made by, and the simulator has no gVisor'
  const ofPool = await condition('bare', 'SandboxReady')
  expect(ofPool).toMatchObject({ reason: 'NoSandboxHandler', message: expect.stringContaining(why) })
  expect(ofPool?.message).toContain('sandboxHandler')
  expect(await condition('bare', 'Ready')).toMatchObject({ status: 'False', reason: 'NoSandboxHandler' })
  expect(await nodeCondition('bare-0')).toMatchObject({ status: 'False', reason: 'NoSandboxHandler' })
  await until('nothing new is sent there', async () => (await taints('bare-0')).includes(noSandboxTaintKey))
  await create('waiting', 'bare-0')
  for (const [kind, name] of [
    ['VirtualNodePool', 'bare'],
    ['Node', 'bare-0'],
    ['Pod', 'waiting'],
  ] as const) {
    await until(`${kind} ${name} is told about`, async () =>
      (await told(kind, name)).some((text) => text.includes(why)),
    )
  }
  const held = await pod('waiting')
  expect(held.status?.phase).toBe('Pending')
  expect(held.status?.containerStatuses?.some(({ state }) => state?.running) ?? false).toBe(false)
})

test('it starts when the pool says knowingly what it wants', async () => {
  await say('bare', 'runc')
  await until('the Pod runs', async () => (await pod('waiting')).status?.phase === 'Running')
  await until('Pods may come', async () => !(await taints('bare-0')).includes(noSandboxTaintKey))
  await until('the pool is ready', async () => (await condition('bare', 'Ready'))?.status === 'True')
})

test('a handler that is not there is no reason to take another', async () => {
  await say('full', 'kata')
  await until('the pool says so', async () => (await condition('full', 'SandboxReady'))?.status === 'False')
  expect((await condition('full', 'SandboxReady'))?.message).toBe(
    'the pool\'s sandboxHandler "kata" is not offered here; offered are: runc, runsc',
  )
  // What runs goes on.
  expect((await pod('sealed')).status?.phase).toBe('Running')
})

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  await untilOrAborted(what, holds, signal)
}

async function condition(pool: string, type: string) {
  // It may not have become an object yet.
  const { items } = await journey.api.list<VirtualNodePool>(virtualNodePools, {}, signal)
  const found = items.find(({ metadata }) => metadata?.name === pool)
  return found?.status?.conditions?.find((one) => one.type === type)
}

async function nodeCondition(name: string) {
  const { status } = await journey.api.get(nodes, { name }, signal)
  return status?.conditions?.find(({ type }) => type === sandboxReadyCondition)
}

async function taints(name: string): Promise<readonly string[]> {
  const { spec } = await journey.api.get(nodes, { name }, signal)
  return (spec?.taints ?? []).map(({ key }) => key)
}

async function told(kind: string, name: string): Promise<readonly string[]> {
  const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${name},reason=NoSandboxHandler`
  const { items } = await journey.api.list(events, { fieldSelector }, signal)
  return items.map(({ message }) => message ?? '')
}

async function say(pool: string, sandboxHandler: string): Promise<void> {
  const edit = { type: 'merge', body: { spec: { sandboxHandler } } } as const
  await journey.api.patch(virtualNodePools, { name: pool }, edit, signal)
}

/** Bound by hand, since what comes by itself is kept off. */
async function create(name: string, nodeName: string, spec: Partial<PodSpec> = {}): Promise<void> {
  const containers = [{ name: 'main', image: 'busybox' }]
  const object = { metadata: { namespace, name }, spec: { containers, nodeName, ...spec } }
  await journey.api.create(pods, { apiVersion: 'v1', kind: 'Pod', ...object }, signal)
}

async function pod(name: string): Promise<Pod> {
  return await journey.api.get(pods, { namespace, name }, signal)
}
