import { describe, expect, test } from 'vitest'
import { deployments, webDeployment } from '../../src/cli/demo/manifests.ts'
import { events, namespaces, nodes, pods, serviceAccounts } from '../../src/kube/resources.ts'
import type { Node, Pod } from '../../src/model/kubernetes.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-overflow'
const told = story(namespace)
const forever = 'exec sleep 3600'

describe('overflow, on a server of one core', () => {
  test('nothing goes out while the server has room; what finds none goes out, and says why', async () => {
    const { api, signal, until } = told.current
    await api.create(deployments, webDeployment(namespace, 2), signal)
    await until('2 Pods are ready', () => ready().length === 2)
    expect(ready().filter(isVirtual)).toEqual([])
    await scaleWeb(4)
    await until('4 Pods are ready', () => ready().length === 4)
    expect(ready().filter(isVirtual)).toHaveLength(2)
    await until('each that went out has its event', async () => (await overflowEvents()).length >= 2)
    const names = new Set((await overflowEvents()).map(({ involvedObject }) => involvedObject.name))
    const out = ready().filter(isVirtual)
    expect(names).toEqual(new Set(out.map(({ metadata }) => metadata?.name)))
  })

  test('a Pod that opted out stays, and so does one of a namespace that did, and one of kube-system', async () => {
    const { api, signal, until } = told.current
    const other = 'story-overflow-servers-only'
    const labels = { 'spillway.dev/placement': 'server' }
    await api.create(namespaces, { metadata: { name: other, labels } }, signal)
    try {
      const optedOut = scriptPod({ namespace, name: 'opted-out' }, forever)
      const stay = [
        { ...optedOut, metadata: { ...optedOut.metadata, labels } },
        scriptPod({ namespace: other, name: 'in-its-namespace' }, forever),
        scriptPod({ namespace: 'kube-system', name: 'story-system' }, forever),
      ]
      await until('the other namespace takes Pods', () => hasAccount(other))
      for (const pod of stay) await api.create(pods, pod, signal)
      await until('each was refused by the scheduler', async () => (await live(stay)).every(isRefused))
      // The proof that Spillway looked: a Pod that came later and may go is out and ready.
      await api.create(pods, scriptPod({ namespace, name: 'later' }, forever), signal)
      await until('a later Pod went out', () => isReady(told.current.pod('later')))
      for (const pod of await live(stay)) {
        expect(pod.spec?.nodeName).toBeUndefined()
        expect(pod.spec?.tolerations?.map(({ key }) => key)).not.toContain('spillway.dev/virtual-node')
        expect(isRefused(pod)).toBe(true)
      }
    } finally {
      await api.delete(pods, { namespace: 'kube-system', name: 'story-system' }, { graceSeconds: 0 }, signal)
      await api.delete(namespaces, { name: other }, {}, signal)
    }
  })

  test('a cordoned virtual node gets nothing', async () => {
    const { kubectl, until } = told.current
    expect((await kubectl('cordon', 'burst-0')).code).toBe(0)
    const before = uids(ready())
    await scaleWeb(8)
    await until('8 Pods are ready', () => ready().length === 8)
    const fresh = ready().filter(({ metadata }) => !before.has(metadata?.uid))
    expect(new Set(fresh.map(({ spec }) => spec?.nodeName))).toEqual(new Set(['burst-1']))
    expect((await kubectl('uncordon', 'burst-0')).code).toBe(0)
  })

  test('nodes without their containerd say so, get nothing, keep their Pods, and come back', async () => {
    const { api, running, signal, until } = told.current
    const before = uids(ready())
    await running.killComponent('containerd-virtual', signal)
    try {
      await until('both nodes say so', async () => (await virtualNodes()).every(isLost), 5_000)
      await api.create(pods, scriptPod({ namespace, name: 'meanwhile' }, forever), signal)
      await until('it was refused', () => isRefused(told.current.pod('meanwhile')))
      await until('Spillway says why it cannot go out', async () =>
        (await eventsOf('meanwhile')).some(({ reason }) => reason === 'OverflowRefused'),
      )
      expect(told.current.pod('meanwhile')?.spec?.nodeName).toBeUndefined()
      expect(uids(ready())).toEqual(before)
    } finally {
      await running.startComponent('containerd-virtual', signal)
    }
    await until('both nodes are well again', async () => (await virtualNodes()).every(isWell))
    await until('the Pod that waited runs out there', () => isReady(told.current.pod('meanwhile')))
    expect(uids(ready())).toEqual(before)
  })
})

function ready(): readonly Pod[] {
  return told.current
    .pods()
    .filter(
      (pod) => pod.metadata?.labels?.['app'] === 'web' && !pod.metadata.deletionTimestamp && isReady(pod),
    )
}

function uids(list: readonly Pod[]): Set<string | undefined> {
  return new Set(list.map(({ metadata }) => metadata?.uid))
}

async function scaleWeb(replicas: number): Promise<void> {
  const patch = { type: 'merge', body: { spec: { replicas } } } as const
  await told.current.api.patch(deployments, { namespace, name: 'web' }, patch, told.current.signal)
}

async function overflowEvents() {
  const { items } = await told.current.api.list(events, { namespace }, told.current.signal)
  return items.filter(({ reason }) => reason === 'Overflow')
}

async function eventsOf(name: string) {
  const { items } = await told.current.api.list(events, { namespace }, told.current.signal)
  return items.filter(({ involvedObject }) => involvedObject.name === name)
}

async function hasAccount(name: string): Promise<boolean> {
  const { items } = await told.current.api.list(serviceAccounts, { namespace: name }, told.current.signal)
  return items.length > 0
}

async function live(list: readonly Pod[]): Promise<readonly Pod[]> {
  const { api, signal } = told.current
  const names = list.map(({ metadata }) => ({
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
  }))
  return await Promise.all(names.map((name) => api.get(pods, name, signal)))
}

function isRefused(pod: Pod | undefined): boolean {
  return pod?.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false
}

async function virtualNodes(): Promise<readonly Node[]> {
  const { items } = await told.current.api.list(
    nodes,
    { labelSelector: 'spillway.dev/pool=burst' },
    told.current.signal,
  )
  return items
}

function isLost(node: Node): boolean {
  return backendReady(node) === 'False' && isTainted(node)
}

function isWell(node: Node): boolean {
  return backendReady(node) === 'True' && !isTainted(node)
}

function backendReady({ status }: Node): string | undefined {
  return status?.conditions?.find(({ type }) => type === 'spillway.dev/BackendReady')?.status
}

function isTainted({ spec }: Node): boolean {
  return spec?.taints?.some(({ key }) => key === 'spillway.dev/backend-unavailable') ?? false
}
