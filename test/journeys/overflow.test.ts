import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BackendHealth } from '../../src/backends/backend.ts'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import type { Resource } from '../../src/kube/api.ts'
import { events, namespaces, nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Node, Pod } from '../../src/model/kubernetes.ts'
import {
  deletionCostAnnotation,
  deletionCostSetAnnotation,
  virtualNodeTaintKey,
} from '../../src/model/words.ts'
import { runScaleIn } from '../../src/scheduling/scale-in.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import {
  healthy,
  openClients,
  partOptions,
  startFakeKubelets,
  startServer,
  startStores,
  startVirtualNode,
  type Stores,
  type TestClient,
  startOverflow,
} from '../support/small-cluster.ts'

interface Deployment extends KubeObject {
  spec: object
}

const deployments: Resource<Deployment> = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
}

const running = new AbortController()
const { signal } = running
const never = new AbortController().signal
let plane: TestControlPlane
let clients: { admin: TestClient; controller: TestClient; node: TestClient }
let stores: Stores
let backendAnswers = true
/** Pods as they were when they were first seen to be bound. */
const atBinding: Pod[] = []

// Two servers of one core each: two Pods of 400m fit on each, and no third.
beforeAll(async () => {
  plane = await startTestControlPlane({ virtualNodes: ['burst-0'] })
  clients = await openClients(plane, 'burst-0')
  const { admin, controller } = clients
  stores = startStores(controller, signal)
  for (const name of ['server-0', 'server-1'])
    await startServer(admin, { name, cpu: '1', memory: '4Gi' }, signal)
  stores.pods.subscribe(({ before, after }) => {
    if (after?.spec?.nodeName && !before?.spec?.nodeName) atBinding.push(after)
  })
  startFakeKubelets(admin, { pods: stores.pods }, signal)
  startSpillway()
  await until('all three nodes take Pods', () => {
    const open = stores.nodes
      .list()
      .filter((node) => !taintKeys(node).some((key) => key.startsWith('node.kubernetes.io/')))
    return open.length === 3
  })
})

afterAll(async () => {
  running.abort()
  for (const client of Object.values(clients ?? {})) await client.close()
  await plane?.[Symbol.asyncDispose]()
})

function startSpillway(): void {
  const { controller } = clients
  startVirtualNode(clients, stores, health, signal)
  startOverflow(controller, stores, signal)
  void runScaleIn({ api: controller, ...stores, ...partOptions }, signal)
}

function health(): BackendHealth {
  const lost = { ok: false, reason: 'Lost', message: 'lost' }
  return backendAnswers ? healthy : { ...healthy, runtime: lost }
}

async function until(condition: string, met: () => boolean): Promise<void> {
  const options = { condition, timeoutMs: 30_000, clock: systemClock }
  await waitUntil(async () => (met() ? true : undefined), options, never)
}

function taintKeys(node: Node | undefined): string[] {
  return (node?.spec?.taints ?? []).map(({ key }) => key)
}

function podsOf(namespace: string): readonly Pod[] {
  return stores.pods
    .list()
    .filter(({ metadata }) => metadata?.namespace === namespace && !metadata.deletionTimestamp)
}

function boundTo(namespace: string, kind: 'server' | 'burst'): readonly Pod[] {
  return podsOf(namespace).filter(({ spec }) => spec?.nodeName?.startsWith(kind))
}

function tolerated(pod: Pod): boolean {
  return (pod.spec?.tolerations ?? []).some(({ key }) => key === virtualNodeTaintKey)
}

function isOfDeployment({ metadata }: Pod): boolean {
  return metadata?.labels?.['app'] === 'web'
}

function ready(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True')
}

async function newNamespace(name: string, labels: Record<string, string> = {}): Promise<void> {
  await clients.admin.create(namespaces, { metadata: { name, labels } }, never)
}

const podSpec = {
  terminationGracePeriodSeconds: 0,
  containers: [{ name: 'web', image: 'web:1', resources: { requests: { cpu: '400m' } } }],
}

async function deploy(
  namespace: string,
  replicas: number,
  annotations: Record<string, string> = {},
): Promise<void> {
  const labels = { app: 'web' }
  const template = { metadata: { labels, annotations }, spec: podSpec }
  const spec = { replicas, selector: { matchLabels: labels }, template }
  await clients.admin.create(deployments, { metadata: { namespace, name: 'web' }, spec }, never)
}

async function scale(namespace: string, replicas: number): Promise<void> {
  const patch = { type: 'merge', body: { spec: { replicas } } } as const
  await clients.admin.patch(deployments, { namespace, name: 'web' }, patch, never)
}

async function createPod(
  namespace: string,
  name: string,
  labels: Record<string, string> = {},
): Promise<void> {
  const automountServiceAccountToken = false
  await clients.admin.create(
    pods,
    { metadata: { namespace, name, labels }, spec: { ...podSpec, automountServiceAccountToken } },
    never,
  )
}

function refused(namespace: string, name: string): boolean {
  const pod = stores.pods.get({ namespace, name })
  return (pod?.status?.conditions ?? []).some(({ reason }) => reason === 'Unschedulable')
}

async function removeNamespace(namespace: string): Promise<void> {
  try {
    // First to none: a ReplicaSet that is still there replaces what is deleted, and its Pod takes the room of another.
    await scale(namespace, 0)
    await until(`no Pod of ${namespace} is wanted`, () => !podsOf(namespace).some(isOfDeployment))
    await clients.admin.delete(deployments, { namespace, name: 'web' }, {}, never)
  } catch (error) {
    // Only some have a Deployment.
    if (!hasCode(error, 'NotFound')) throw error
  }
  for (const { metadata } of podsOf(namespace)) {
    try {
      await clients.admin.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 0 }, never)
    } catch (error) {
      // Its controller was first.
      if (!hasCode(error, 'NotFound')) throw error
    }
  }
  await until(`nothing is left of ${namespace}`, () => podsOf(namespace).length === 0)
}

describe('a Deployment that outgrows its servers', () => {
  it('stays on them as long as they have room', async () => {
    await newNamespace('shop')
    await deploy('shop', 4)
    await until('four Pods run on servers', () => boundTo('shop', 'server').filter(ready).length === 4)
    expect(podsOf('shop').filter(tolerated)).toEqual([])
  })

  it('sends to the virtual node what does not fit, and nothing else', async () => {
    await scale('shop', 8)
    await until(
      'four Pods run on the virtual node',
      () => boundTo('shop', 'burst').filter(ready).length === 4,
    )
    expect(boundTo('shop', 'server')).toHaveLength(4)
    expect(boundTo('shop', 'server').filter(tolerated)).toEqual([])
  })

  it('tells each Pod that went why', async () => {
    const sent = boundTo('shop', 'burst').map(({ metadata }) => metadata?.uid)
    let told: readonly { object: string | undefined; message: string | undefined }[] = []
    await waitUntil(
      async () => {
        const list = await clients.admin.list(events, { namespace: 'shop' }, never)
        told = list.items
          .filter(({ reason }) => reason === 'Overflow')
          .map(({ involvedObject, message }) => ({ object: involvedObject.uid, message }))
        return told.length >= sent.length ? true : undefined
      },
      { condition: 'there is an event for each', timeoutMs: 20_000, clock: systemClock },
      never,
    )
    const message = 'no server has room (2 lack cpu); may go to virtual nodes of pool burst'
    expect(new Set(told)).toEqual(new Set(sent.map((object) => ({ object, message }))))
  })

  it('lets those on the virtual node leave first, from the moment that they are bound', async () => {
    const out = atBinding.filter(({ metadata, spec }) => {
      return metadata?.namespace === 'shop' && spec?.nodeName?.startsWith('burst')
    })
    expect(out.map(({ metadata }) => metadata?.annotations?.[deletionCostAnnotation])).toEqual(
      Array.from({ length: 4 }, () => '-1000'),
    )
    const names = (list: readonly Pod[]): Set<string | undefined> =>
      new Set(list.map(({ metadata }) => metadata?.name))
    const stayers = names(boundTo('shop', 'server'))
    await scale('shop', 4)
    await until('four Pods are left', () => podsOf('shop').length === 4)
    expect(names(podsOf('shop'))).toEqual(stayers)
  })

  it('takes the cost away again from a Pod that a server took', async () => {
    await newNamespace('taken')
    await scale('shop', 3)
    await until('a server has room', () => podsOf('shop').length === 3)
    // As overflow would have left it, had the room come a moment later.
    await deploy('taken', 1, { [deletionCostAnnotation]: '-1000', [deletionCostSetAnnotation]: '-1000' })
    await until('it runs on a server', () => boundTo('taken', 'server').filter(ready).length === 1)
    await until(
      'its cost is gone',
      () => Object.keys(podsOf('taken')[0]?.metadata?.annotations ?? {}).length === 0,
    )
    await removeNamespace('taken')
    await scale('shop', 4)
    await until('shop is back on its servers', () => boundTo('shop', 'server').length === 4)
  })

  it('keeps the deletion cost that its people chose', async () => {
    await newNamespace('priced')
    await deploy('priced', 1, { [deletionCostAnnotation]: '7' })
    await until('it runs on the virtual node', () => boundTo('priced', 'burst').filter(ready).length === 1)
    // The cost of a later Pod shows that the controller has been past this one.
    await scale('shop', 5)
    await until('a later Pod has its cost', () =>
      boundTo('shop', 'burst').some(
        ({ metadata }) => metadata?.annotations?.[deletionCostAnnotation] === '-1000',
      ),
    )
    expect(podsOf('priced')[0]?.metadata?.annotations).toEqual({ [deletionCostAnnotation]: '7' })
    await scale('shop', 4)
    await until('shop is back on its servers', () => podsOf('shop').length === 4)
    await removeNamespace('priced')
  })
})

describe('Pods that must not go', () => {
  it('wait: those of kube-system, those that opted out, those of a namespace that opted out', async () => {
    await newNamespace('mixed')
    await newNamespace('kept', { 'spillway.dev/placement': 'server' })
    await createPod('kube-system', 'system')
    await createPod('mixed', 'opted-out', { 'spillway.dev/placement': 'server' })
    await createPod('kept', 'kept')
    await createPod('kept', 'opted-in', { 'spillway.dev/placement': 'auto' })
    const staying = [
      ['kube-system', 'system'],
      ['mixed', 'opted-out'],
      ['kept', 'kept'],
    ] as const
    await until('all three are refused', () => staying.every(([namespace, name]) => refused(namespace, name)))
    await until('the one that opted in went', () => boundTo('kept', 'burst').length === 1)
    await createPod('mixed', 'later')
    await until('a later one went', () => boundTo('mixed', 'burst').length === 1)
    for (const [namespace, name] of staying) {
      const pod = stores.pods.get({ namespace, name })
      expect(pod && tolerated(pod), `${namespace}/${name}`).toBe(false)
      await clients.admin.delete(pods, { namespace, name }, { graceSeconds: 0 }, never)
    }
    await removeNamespace('mixed')
    await removeNamespace('kept')
  })
})

describe('a virtual node', () => {
  it('gets nothing while it is cordoned, and what waited afterwards', async () => {
    await newNamespace('cordon')
    await cordon(true)
    await createPod('cordon', 'waits')
    await until('it is refused', () => refused('cordon', 'waits'))
    await createPod('cordon', 'also')
    await until('the other is refused too', () => refused('cordon', 'also'))
    expect(podsOf('cordon').filter(tolerated)).toEqual([])
    await cordon(false)
    await until('both went', () => boundTo('cordon', 'burst').length === 2)
    await removeNamespace('cordon')
  })

  it('gets nothing while its backend is lost, and stays Ready for a while', async () => {
    backendAnswers = false
    await until('it is tainted', () => taintKeys(burst()).includes('spillway.dev/backend-unavailable'))
    await until('it says so', () => conditionOf('spillway.dev/BackendReady') === 'False')
    expect(conditionOf('Ready')).toBe('True')
    await newNamespace('lost')
    await createPod('lost', 'waits')
    await until('it is refused', () => refused('lost', 'waits'))
    await createPod('lost', 'also')
    await until('the other is refused too', () => refused('lost', 'also'))
    expect(podsOf('lost').filter(tolerated)).toEqual([])
    backendAnswers = true
    await until('both went', () => boundTo('lost', 'burst').length === 2)
    expect(taintKeys(burst())).not.toContain('spillway.dev/backend-unavailable')
    await removeNamespace('lost')
  })

  it('comes back when it is deleted', async () => {
    const before = burst()?.metadata?.uid
    await clients.admin.delete(nodes, { name: 'burst-0' }, {}, never)
    await until('it is there again', () => burst() !== undefined && burst()?.metadata?.uid !== before)
    await until('it is Ready', () => conditionOf('Ready') === 'True')
    expect(burst()?.spec?.taints).toEqual(
      expect.arrayContaining([
        { key: virtualNodeTaintKey, value: 'burst', effect: 'NoSchedule' },
        { key: virtualNodeTaintKey, value: 'burst', effect: 'PreferNoSchedule' },
      ]),
    )
  })
})

function burst(): Node | undefined {
  return stores.nodes.get({ name: 'burst-0' })
}

function conditionOf(type: string): string | undefined {
  return burst()?.status?.conditions?.find((condition) => condition.type === type)?.status
}

async function cordon(unschedulable: boolean): Promise<void> {
  const patch = { type: 'merge', body: { spec: { unschedulable } } } as const
  await clients.admin.patch(nodes, { name: 'burst-0' }, patch, never)
  await until('the cordon is seen', () => (burst()?.spec?.unschedulable ?? false) === unschedulable)
}
