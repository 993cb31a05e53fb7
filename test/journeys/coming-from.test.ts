/** One manifest of each product, as its users have it, on a cluster with Spillway: where its Pod goes, and what is said about it. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { askAdmin } from '../../src/cli/admin-client.ts'
import type { ExplainView, StatusView } from '../../src/console/api/contract.ts'
import type { Resource } from '../../src/kube/api.ts'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import type { CoreEvent, KubeObject, Pod } from '../../src/model/kubernetes.ts'
import { foreignSpellingNote } from '../../src/scheduling/tell-foreign-spelling.ts'
import type { SpellingLine } from '../../src/scheduling/foreign-spelling.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { startServer } from '../support/small-cluster.ts'
import { until } from '../support/until.ts'

const ending = new AbortController()
const { signal } = ending
let journey: JourneyApp

beforeAll(async () => {
  journey = await JourneyApp.start(
    {
      clusterName: 'coming',
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [{ name: 'burst', backend: 'local', capacity: { cpu: '32', memory: '128Gi' } }],
    },
    signal,
  )
  await startServer(journey.api, { name: 'server-0', cpu: '2', memory: '8Gi' }, signal)
  await createNamespace(journey.api, { name: 'moved' }, signal)
  await createNamespace(journey.api, { name: 'of-eci', labels: { 'alibabacloud.com/eci': 'true' } }, signal)
  await until(
    'both nodes take Pods',
    async () => {
      const { items } = await journey.api.list(nodes, {}, signal)
      const open = items.filter(
        ({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')),
      )
      return open.length === 2
    },
    signal,
  )
  // The API server learns of a policy by a watch.
  await until(
    'the policy is in force',
    async () => {
      const metadata = { namespace: 'of-eci', generateName: 'first-' }
      const spec = { containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }] }
      const pod = await journey.api.create(pods, { metadata, spec }, signal)
      return pod.spec?.nodeSelector?.['type'] === 'virtual-kubelet'
    },
    signal,
  )
})

afterAll(async () => {
  ending.abort()
  await journey?.[Symbol.asyncDispose]()
})

describe('a manifest that was written for', () => {
  test('TKE goes out when servers are full, is billed as spot at the size that it states, and hears what is lost', async () => {
    const pod = await deploy(`
      name: tke
      labels: {}
      annotations:
        AUTO_SCALE_EKS: 'true'
        eks.tke.cloud.tencent.com/cpu: '4'
        eks.tke.cloud.tencent.com/mem: 16Gi
        eks.tke.cloud.tencent.com/spot-pod: 'true'
        eks.tke.cloud.tencent.com/retain-ip: 'true'
        eks.tke.cloud.tencent.com/use-image-cache: auto
      cpu: '3'
      tolerations: [{ key: eks.tke.cloud.tencent.com/eklet, operator: Exists, effect: NoSchedule }]`)
    expect(await nodeOf(pod)).toBe('burst-0')
    const { message, type } = await toldOf(pod)
    expect(type).toBe('Warning')
    expect(message).toContain('annotation AUTO_SCALE_EKS=true → placement auto')
    expect(message).toContain('the size that is billed where the price book is Tencent’s: 4 cores, 16 GiB')
    expect(message).toContain('annotation eks.tke.cloud.tencent.com/spot-pod=true → billed by spot prices')
    expect(message).toContain('Lost: annotation eks.tke.cloud.tencent.com/retain-ip=true')
    await until(
      'it is billed at 4 cores and 16 GiB, as spot',
      async () => {
        const status = (await ask('/v1/status')) as StatusView
        return status.pods.find(({ name }) => name === pod.metadata?.name)?.spec === '4 cores, 16 GiB, spot'
      },
      signal,
    )
  })

  test('TKE stays in when it says so, however full servers are', async () => {
    const pod = await deploy(`
      name: tke-off
      labels: {}
      annotations: { AUTO_SCALE_EKS: 'false' }
      cpu: '3'`)
    expect(await toldOf(pod)).toMatchObject({
      type: 'Normal',
      message: 'written for Tencent TKE. annotation AUTO_SCALE_EKS=false → placement server.',
    })
    expect(await explain(pod)).toMatchObject({
      outcome: 'stays',
      because: 'annotation AUTO_SCALE_EKS=false (Tencent TKE) of the Pod says server',
    })
  })

  test('ECI goes out from the start, by its label and by that of its namespace', async () => {
    const own = await deploy(`
      name: eci
      labels: { alibabacloud.com/eci: 'true' }
      annotations:
        k8s.aliyun.com/eci-use-specs: 2-4Gi,4-8Gi
        k8s.aliyun.com/eci-vswitch: vsw-1
        k8s.aliyun.com/eci-image-cache: 'true'
      cpu: 100m`)
    expect(await nodeOf(own)).toBe('burst-0')
    const { message } = await toldOf(own)
    expect(message).toContain('label alibabacloud.com/eci=true → placement virtual')
    expect(message).toContain('Lost: annotation k8s.aliyun.com/eci-use-specs=2-4Gi,4-8Gi')
    expect(message).not.toContain('image-cache')
    const ofNamespace = await deploy('{ name: plain, labels: {}, annotations: {}, cpu: 100m }', 'of-eci')
    expect(await nodeOf(ofNamespace)).toBe('burst-0')
    expect((await toldOf(ofNamespace)).message).toBe(
      'written for Alibaba ECI. label alibabacloud.com/eci=true of the namespace → placement virtual.',
    )
  })

  test('CCI goes out by enforce, stays in by off, and is anywhere by localPrefer', async () => {
    const place = async (name: string, value: string, namespace?: string): Promise<string> =>
      await nodeOf(
        await deploy(
          `{ name: ${name}, labels: { bursting.cci.io/burst-to-cci: ${value} }, annotations: {}, cpu: 100m }`,
          namespace,
        ),
      )
    expect(await place('cci-enforce', 'enforce')).toBe('burst-0')
    expect(await place('cci-local', 'localPrefer')).toBe('server-0')
    // What the Pod says counts before what its namespace says.
    expect(await place('cci-off', '"off"', 'of-eci')).toBe('server-0')
  })

  test('Fargate goes out from the start, and hears that its profile stays behind', async () => {
    const pod = await deploy(`
      name: fargate
      labels: { eks.amazonaws.com/fargate-profile: batch }
      annotations: { CapacityProvisioned: 0.25vCPU 0.5GB }
      cpu: 100m`)
    expect(await nodeOf(pod)).toBe('burst-0')
    const { message } = await toldOf(pod)
    expect(message).toContain('label eks.amazonaws.com/fargate-profile=batch → placement virtual')
    expect(message).toContain('the profile’s subnets and execution role stay behind')
  })

  test('any of them is turned off by our label', async () => {
    const labels = "{ alibabacloud.com/eci: 'true', spillway.dev/placement: server }"
    const pod = await deploy(`{ name: ours, labels: ${labels}, annotations: {}, cpu: 100m }`)
    expect(await nodeOf(pod)).toBe('server-0')
    expect((await explain(pod)).foreign).toEqual([
      {
        product: 'Alibaba ECI',
        word: 'label alibabacloud.com/eci=true',
        becomes: 'needless',
        says: 'another one counts: label spillway.dev/placement of the Pod says server',
      },
    ])
  })
})

test('each Pod was told of in one event, which says what explain says', async () => {
  await until('all are told of', async () => (await foreignEvents()).length >= 8, signal)
  const told = await foreignEvents()
  const names = told.map(({ involvedObject }) => `${involvedObject.namespace}/${involvedObject.name}`)
  expect(new Set(names).size).toBe(names.length)
  for (const { involvedObject, message, count } of told) {
    const { namespace = '', name = '' } = involvedObject
    const pod = await journey.api.get(pods, { namespace, name }, signal)
    const { foreign } = await explain(pod)
    expect(message).toBe(foreignSpellingNote(pod, foreign as readonly SpellingLine[])?.message)
    expect(count).toBe(1)
  }
  expect(names.filter((name) => name.includes('/ours-'))).toEqual([])
})

interface Deployment extends KubeObject {
  readonly spec: object
}

const deployments: Resource<Deployment> = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
}

interface Wish {
  readonly name: string
  readonly labels: Record<string, string>
  readonly annotations: Record<string, string>
  readonly cpu: string
  readonly tolerations?: readonly object[]
}

/** A Deployment of one replica; the answer is its Pod. */
async function deploy(wish: string, namespace = 'moved'): Promise<Pod> {
  const { name, labels, annotations, cpu, tolerations = [] } = parse(wish) as Wish
  const image = 'registry.k8s.io/pause:3.10.2'
  const template = {
    metadata: { labels: { ...labels, app: name }, annotations },
    spec: { tolerations, containers: [{ name: 'main', image, resources: { requests: { cpu } } }] },
  }
  const spec = { replicas: 1, selector: { matchLabels: { app: name } }, template }
  await journey.api.create(deployments, { metadata: { namespace, name }, spec }, signal)
  let found: Pod | undefined
  await until(
    `${name} has its Pod`,
    async () => {
      const { items } = await journey.api.list(pods, { namespace, labelSelector: `app=${name}` }, signal)
      found = items[0]
      return found !== undefined
    },
    signal,
  )
  if (!found) throw new Error(`${name} has no Pod`)
  return found
}

async function nodeOf({ metadata }: Pod): Promise<string> {
  const object = { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' }
  let node = ''
  await until(
    `${object.name} is bound`,
    async () => {
      node = (await journey.api.get(pods, object, signal)).spec?.nodeName ?? ''
      return node !== ''
    },
    signal,
  )
  return node
}

async function foreignEvents(): Promise<readonly CoreEvent[]> {
  const lists = await Promise.all(
    ['moved', 'of-eci'].map((namespace) => journey.api.list(events, { namespace }, signal)),
  )
  return lists.flatMap(({ items }) => items).filter(({ reason }) => reason === 'ForeignSpelling')
}

async function toldOf({ metadata }: Pod): Promise<CoreEvent> {
  let found: CoreEvent | undefined
  await until(
    `${metadata?.name} is told of`,
    async () => {
      found = (await foreignEvents()).find(({ involvedObject }) => involvedObject.uid === metadata?.uid)
      return found !== undefined
    },
    signal,
  )
  if (!found) throw new Error(`${metadata?.name} is not told of`)
  return found
}

async function explain({ metadata }: Pod): Promise<ExplainView> {
  const body = { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' }
  return (await ask('/v1/explain', body)) as ExplainView
}

async function ask(path: string, body?: object): Promise<unknown> {
  const target = join(journey.folder, 'admin.sock')
  return await askAdmin({ target }, path, body ? { body } : {}, signal)
}
