import { beforeAll, expect, test } from 'vitest'
import { events, pods, runtimeClasses } from '../../src/kube/resources.ts'
import { podRequests } from '../../src/model/resources.ts'
import { readBill } from '../support/true-times.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { sandboxOverheads } from '../../src/model/sandbox-overhead.ts'
import { sandboxReadyCondition } from '../../src/model/words.ts'
import { storySandbox } from '../support/shared-cluster.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-gvisor'
const told = story(namespace)
const forever = 'exec sleep 3600'
const sealed = { ...outByHand, runtimeClassName: 'gvisor' }

beforeAll(async () => {
  const { api, signal, until, pod } = told.current
  const { overhead } = await api.get(runtimeClasses, { name: 'gvisor' }, signal)
  expect(overhead?.podFixed).toBeDefined()
  const main = scriptPod({ namespace, name: 'sealed' }, `echo begun; ${forever}`, sealed)
  const beside = { ...main.spec?.containers[0], name: 'beside' }
  const spec = { ...main.spec, containers: [...(main.spec?.containers ?? []), beside] }
  await api.create(pods, { ...main, spec }, signal)
  await until('it is ready', () => isReady(pod('sealed')))
})

test('a Pod has a kernel of its own, the same for all of its containers', async () => {
  const { kubectl } = told.current
  for (const container of ['main', 'beside']) {
    const { stdout } = await kubectl('exec', 'sealed', '-c', container, '--', 'dmesg')
    expect(stdout).toContain('Starting gVisor')
  }
  expect((await kubectl('logs', 'sealed', '-c', 'main')).stdout).toBe('begun\n')
})

test('its sandbox is counted in what it asks for, and in the size that it is billed at', async () => {
  const { pod, until } = told.current
  const sealedPod = pod('sealed')
  expect(sealedPod?.spec?.overhead).toEqual(sandboxOverheads.gvisor)
  // 2 × 400m and 2 × 64 MiB, and what the sandbox takes.
  expect(podRequests(sealedPod!)).toMatchObject({ cpuMillis: 810n, memoryBytes: (128n + 48n) << 20n })
  const billed = async () =>
    (await readBill(told.current)).pods?.find(({ podUid }) => podUid === sealedPod?.metadata?.uid)
  await until('it is on the bill', async () => (await billed())?.steps.length !== undefined)
  const steps = (await billed())?.steps.join('\n') ?? ''
  expect(steps).toContain('with the overhead of its RuntimeClass: cpu 10m, memory 48Mi')
  expect(steps).toContain('0.81 cores, 176 MiB')
})

test('what it uses is told without figures that nobody measured', async () => {
  const { api, signal, pod } = told.current
  const node = pod('sealed')?.spec?.nodeName ?? ''
  const summary = JSON.parse(
    await api.getText(`/api/v1/nodes/${node}/proxy/stats/summary`, signal),
  ) as Summary
  const own = summary.pods.find(({ podRef }) => podRef.name === 'sealed' && podRef.namespace === namespace)
  expect(own?.memory.usageBytes).toBeGreaterThan(1 << 20)
  expect(own?.memory.rssBytes).toBeGreaterThan(1 << 20)
  for (const { memory } of own?.containers ?? []) {
    expect(memory.usageBytes).toBeGreaterThan(0)
    expect(memory).not.toHaveProperty('rssBytes')
    expect(memory).not.toHaveProperty('availableBytes')
  }
})

test('a Pod that it cannot hold is told so before it goes, and refused when it comes all the same', async () => {
  const { api, signal, until, pod, kubectl } = told.current
  const refused = scriptPod({ namespace, name: 'networked' }, forever, { ...sealed, hostNetwork: true })
  const why =
    'spec.hostNetwork: host network is not offered here (a gVisor sandbox has a network stack of its own'
  await api.create(pods, refused, signal)
  await until('it is refused', () => pod('networked')?.status?.phase === 'Failed')
  expect(pod('networked')?.status?.reason).toBe('UnsupportedPodSpec')
  expect(pod('networked')?.status?.message).toContain(why)
  await until('people are told', async () => {
    const fieldSelector = 'involvedObject.name=networked,reason=UnsupportedPodSpec'
    const { items } = await api.list(events, { namespace, fieldSelector }, signal)
    return items.some(({ message }) => message?.includes(why))
  })
  const { items } = JSON.parse((await kubectl('get', 'nodes', '-o', 'json')).stdout) as { items: Node[] }
  const burst = items.find(({ metadata }) => metadata?.name === 'burst-0')
  const condition = burst?.status?.conditions?.find(({ type }) => type === sandboxReadyCondition)
  expect(condition?.message).toContain(storySandbox === 'gvisor' ? 'runsc (gVisor' : 'runc (runc')
})

interface Summary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string }
    readonly memory: Record<string, number>
    readonly containers: readonly { readonly memory: Record<string, number> }[]
  }[]
}
