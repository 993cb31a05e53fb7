/** A pool that comes, grows, shrinks and goes on the embedded cluster, by the command line; also with its containerd killed. */
import { afterAll, describe, expect, test } from 'vitest'
import { events, nodes, pods, runtimeClasses, virtualNodePools } from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import type { VirtualNodePool } from '../../src/model/virtual-node-pool.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { runSpillway, type SpillwayResult } from '../support/run-spillway.ts'
import { storyHandler } from '../support/shared-cluster.ts'
import { isReady, story } from '../support/story.ts'
import { readBill } from '../support/true-times.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-pools'
const pool = 'tale'
const told = story(namespace)
const forever = 'exec sleep 3600'

afterAll(async () => {
  const { api, signal } = told.current
  const left = await poolNow()
  if (left && !left.metadata?.deletionTimestamp) await spillway('pool', 'delete', pool, '--force')
  else if (left) await api.delete(virtualNodePools, { name: pool }, {}, signal)
})

describe('a pool that people make while Spillway runs', () => {
  test('has nodes on which Pods run and are reached, with certificates of their own', async () => {
    const { api, signal, until, kubectl } = told.current
    const spec = {
      backend: 'local',
      replicas: 2,
      priceBook: 'flat-demo',
      labels: { tale: 'yes' },
      sandboxHandler: storyHandler,
    }
    const object = {
      apiVersion: 'spillway.dev/v1alpha1',
      kind: 'VirtualNodePool',
      metadata: { name: pool },
      spec,
    }
    await api.create<VirtualNodePool>(virtualNodePools, object, signal)
    await until('its nodes are ready', async () => (await poolNow())?.status?.readyReplicas === 2)
    await api.create(pods, podFor('teller', `echo once upon a time; ${forever}`), signal)
    await until('the Pod is ready', () => isReady(told.current.pod('teller')))
    // Over the node's own API, whose certificate the API server checks.
    expect((await kubectl('logs', 'teller')).stdout).toContain('once upon a time')
    expect((await kubectl('exec', 'teller', '--', 'echo', 'so it was')).stdout).toContain('so it was')
  })

  test('has sandboxes of its own handler for a RuntimeClass that means another elsewhere', async () => {
    const { api, signal, until, pod } = told.current
    const runtimeClassName = 'story-sealed'
    const edit = {
      type: 'merge',
      body: { spec: { runtimeClasses: { [runtimeClassName]: 'runc' } } },
    } as const
    await api.patch(virtualNodePools, { name: pool }, edit, signal)
    await until('the pool has taken it', async () => {
      const { metadata, status } = (await poolNow()) ?? {}
      return status?.observedGeneration === metadata?.generation
    })
    // The machine has no kata: only this pool has something in its place.
    await api.create(runtimeClasses, { metadata: { name: runtimeClassName }, handler: 'kata' }, signal)
    try {
      const sealed = podFor('sealed', forever)
      await api.create(pods, { ...sealed, spec: { ...containersOf(sealed), runtimeClassName } }, signal)
      const elsewhere = scriptPod({ namespace, name: 'elsewhere' }, forever, {
        ...outByHand,
        runtimeClassName,
      })
      await api.create(pods, elsewhere, signal)
      await until('it is ready here', () => isReady(pod('sealed')))
      await until('elsewhere it is told why not', async () => {
        const fieldSelector = 'involvedObject.name=elsewhere,reason=FailedCreatePodSandBox'
        const { items } = await api.list(events, { namespace, fieldSelector }, signal)
        return items.some(({ message }) => message?.includes('handler "kata" for RuntimeClass'))
      })
    } finally {
      for (const name of ['sealed', 'elsewhere']) {
        await api.delete(pods, { namespace, name }, { graceSeconds: 0 }, signal)
      }
      await api.delete(runtimeClasses, { name: runtimeClassName }, {}, signal)
    }
    await until('both are gone', () => !pod('sealed') && !pod('elsewhere'))
  })

  test('is shown by spillway as kubectl shows it', async () => {
    const { kubectl } = told.current
    const { stdout: columns } = await kubectl('get', 'vnp', pool, '--no-headers')
    const { stdout: list } = await spillway('pool', 'list')
    const row = list.split('\n').find((line) => line.startsWith(`${pool} `))
    // Name, desired, nodes, ready, Pods, state.
    expect(row?.split(/\s+/).slice(0, 6)).toEqual(columns.trim().split(/\s+/).slice(0, 6))
    const { stdout: shown } = await spillway('pool', 'show', pool)
    expect(shown).toContain('Pool tale: Ready')
    expect(shown).toMatch(/^tale-0 +Ready +/m)
    expect(shown).toContain('NodeAdded')
    const { code, stderr } = await spillway('pool', 'show', 'nowhere')
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('pool: found "nowhere"; there are: burst, tale'),
    })
  })

  test('is scaled in by its empty node; the Pod and its node stay', async () => {
    const { api, signal, until } = told.current
    const where = told.current.pod('teller')?.spec?.nodeName
    expect((await spillway('pool', 'scale', pool, '1')).code).toBe(0)
    await until('one node is left', async () => (await poolNow())?.status?.replicas === 1)
    const { items } = await api.list(nodes, { labelSelector: 'tale=yes' }, signal)
    expect(items.map(({ metadata }) => metadata?.name)).toEqual([where])
    expect(isReady(told.current.pod('teller'))).toBe(true)
  })

  test('is drained by evictions, and takes no new Pods until it is opened again', async () => {
    const { until, api, signal } = told.current
    const { code, stdout } = await spillway('pool', 'drain', pool)
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('Pool tale: Drained') })
    expect(told.current.pod('teller')).toBeUndefined()
    await api.create(pods, podFor('late', forever), signal)
    await until('the scheduler refuses it', () =>
      Boolean(told.current.pod('late')?.status?.conditions?.some(({ reason }) => reason === 'Unschedulable')),
    )
    expect((await spillway('pool', 'uncordon', pool)).code).toBe(0)
    await until('it runs now', () => isReady(told.current.pod('late')))
  })
})

describe('deleting the pool', () => {
  test('is refused while a Pod runs there', async () => {
    await told.current.until('the pool counts it', async () => (await poolNow())?.status?.pods === 1)
    const { code, stderr } = await spillway('pool', 'delete', pool)
    expect(code).toBe(1)
    expect(stderr).toContain('pool tale is in use (Pods: 1): set spec.drained=true')
  })

  test('by force ends although its containerd is gone, and what ran there is ended when that comes back', async () => {
    const { api, signal, running, until } = told.current
    const patch = { type: 'merge', body: { spec: { drainTimeoutSeconds: 0 } } } as const
    await api.patch(virtualNodePools, { name: pool }, patch, signal)
    const uid = told.current.pod('late')?.metadata?.uid
    await running.killComponent('containerd-virtual', signal)
    try {
      const { code, stdout } = await spillway('pool', 'delete', pool, '--force')
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'Pool tale is gone, and its nodes are.\n' })
    } finally {
      await running.startComponent('containerd-virtual', signal)
    }
    // The garbage collection of Pods without a node takes 40 s, and the sweep of orphans believes nothing for 30 s more.
    await until('the API server has forgotten the Pod', () => told.current.pod('late') === undefined, 120_000)
    const witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
    try {
      await until(
        'containerd has nothing of it',
        async () => (await witness.present(namespace)).length === 0,
        120_000,
      )
    } finally {
      await witness.close()
    }
    const entry = async () => (await readBill(told.current)).pods?.find(({ podUid }) => podUid === uid)
    await until('its bill is closed', async () => (await entry())?.end !== undefined)
    expect(await entry()).toMatchObject({ pool })
  })
})

function spillway(...args: readonly string[]): Promise<SpillwayResult> {
  return runSpillway('--kubeconfig', told.current.binaries.kubeconfig, ...args)
}

async function poolNow(): Promise<VirtualNodePool | undefined> {
  const { api, signal } = told.current
  try {
    return await api.get(virtualNodePools, { name: pool }, signal)
  } catch (error) {
    if (hasCode(error, 'NotFound')) return undefined
    throw error
  }
}

function containersOf({ spec }: Pod): PodSpec {
  return spec ?? { containers: [] }
}

function podFor(name: string, script: string): Pod {
  return scriptPod({ namespace, name }, script, {
    terminationGracePeriodSeconds: 1,
    nodeSelector: { tale: 'yes' },
    tolerations: [{ key: 'spillway.dev/virtual-node', operator: 'Exists' }],
  })
}
