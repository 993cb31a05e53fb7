import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventNote } from '../../src/kube/events.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { Namespace, Pod } from '../../src/model/kubernetes.ts'
import { foreignSpelling } from '../../src/scheduling/foreign-spelling.ts'
import { foreignSpellingNote, tellForeignSpellings } from '../../src/scheduling/tell-foreign-spelling.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { boundSample, podSample, type PodSample } from './samples.ts'

const eci = { labels: { 'alibabacloud.com/eci': 'true' } }
const fargate = { labels: { 'eks.amazonaws.com/fargate-profile': 'batch' } }

let pods: ObjectStore<Pod>
let namespaces: ObjectStore<Namespace>
let told: EventNote[]
let ending: AbortController
let running: Promise<void>

beforeEach(() => {
  const log = silentLog()
  pods = new ObjectStore<Pod>({ log })
  namespaces = new ObjectStore<Namespace>({ log })
  told = []
  ending = new AbortController()
})
afterEach(async () => {
  ending.abort()
  await running
})

/** With what is there when it starts. */
async function start(there: readonly Pod[] = []): Promise<void> {
  const events = { record: (note: EventNote): void => void told.push(note) }
  running = tellForeignSpellings({ pods, namespaces, events }, ending.signal)
  pods.replaceAll(there)
  namespaces.replaceAll([{ metadata: { name: 'shop' } }])
  await pods.whenSynced(ending.signal)
  await new Promise(setImmediate)
}

function next(pod: Pod): Pod {
  return { ...pod, metadata: { ...pod.metadata, resourceVersion: '8' } }
}

it('tells once what was translated and what is lost', async () => {
  await start()
  const pod = podSample(fargate)
  pods.put(pod)
  pods.put(next(pod))
  expect(told).toEqual([
    {
      object: expect.objectContaining({ kind: 'Pod', name: 'web-1' }),
      type: 'Warning',
      reason: 'ForeignSpelling',
      message:
        'written for AWS Fargate. label eks.amazonaws.com/fargate-profile=batch → placement virtual. Lost: ' +
        'label eks.amazonaws.com/fargate-profile=batch (the profile’s subnets and execution role stay behind).',
    },
  ])
})

it('is no warning where nothing is lost', async () => {
  await start()
  pods.put(podSample(eci))
  expect(told).toMatchObject([
    {
      type: 'Normal',
      message: 'written for Alibaba ECI. label alibabacloud.com/eci=true → placement virtual.',
    },
  ])
})

it('tells of what waits when it starts, and not of what runs', async () => {
  await start([podSample(eci), boundSample('server-0', { ...eci, name: 'old' })])
  expect(told.map(({ object }) => object.name)).toEqual(['web-1'])
})

it('waits for a Pod’s namespace, which may speak too', async () => {
  await start()
  const sample: PodSample = { ...eci, namespace: 'new' }
  pods.put(podSample(sample))
  pods.put(podSample({ ...sample, name: 'gone' }))
  pods.remove(podSample({ ...sample, name: 'gone' }))
  pods.put(podSample({ namespace: 'new', name: 'silent' }))
  expect(told).toEqual([])
  namespaces.put({ metadata: { name: 'new', labels: { 'alibabacloud.com/eci': 'true' } } })
  namespaces.put({ metadata: { name: 'new', resourceVersion: '9' } })
  expect(told.map(({ object }) => object.name)).toEqual(['web-1', 'silent'])
})

it('says nothing of Pods that nothing of ours concerns', async () => {
  await start()
  pods.put(podSample())
  pods.put(podSample({ ...eci, name: 'agent', owner: 'DaemonSet' }))
  pods.put(podSample({ ...eci, name: 'done', status: { phase: 'Succeeded' } }))
  pods.put(withAnnotations({ CapacityProvisioned: '0.25vCPU 0.5GB' }))
  expect(told).toEqual([])
})

it('says once what several words have in common', () => {
  const note = noteOf({
    'eks.tke.cloud.tencent.com/retain-ip': 'true',
    'eks.tke.cloud.tencent.com/retain-ip-hours': '48',
  })
  expect(note?.message).toBe(
    'written for Tencent TKE. Lost: annotation eks.tke.cloud.tencent.com/retain-ip=true, ' +
      'annotation eks.tke.cloud.tencent.com/retain-ip-hours=48 (addresses are not kept: reach the Pod by a ' +
      'Service, or by its name in a headless one).',
  )
})

it('ends with how many more there are, before an event would be cut', () => {
  const many = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`eks.tke.cloud.tencent.com/new-${index}`, 'x']),
  )
  const others = {
    'eks.tke.cloud.tencent.com/spot-pod': 'true',
    'k8s.aliyun.com/eci-ram-role-name': 'reader',
  }
  const { message = '' } = noteOf({ ...others, ...many }) ?? {}
  expect(message.length).toBeLessThanOrEqual(1024)
  expect(message).toContain('spot-pod')
  expect(message).toMatch(/ And 1 more: spillway explain tells them\.$/)
})

function withAnnotations(annotations: Record<string, string>): Pod {
  const sample = podSample({ name: 'annotated' })
  return { ...sample, metadata: { ...sample.metadata, annotations } }
}

function noteOf(annotations: Record<string, string>): EventNote | undefined {
  const pod = withAnnotations(annotations)
  return foreignSpellingNote(pod, foreignSpelling(pod, undefined))
}
