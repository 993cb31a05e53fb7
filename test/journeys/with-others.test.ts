/** Virtual nodes beside what the scheduler and the controllers do for others: foretold by explain, then seen to happen. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ExplainView } from '../../src/console/api/contract.ts'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { daemonSets, deployments, pods } from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { virtualNodeTaintKey } from '../../src/model/words.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { startSmallHouse, type SmallHouse } from '../support/small-house.ts'
import { until as waitUntil } from '../support/until.ts'

/** As much of a kind as is written here. */
interface Loose extends KubeObject {
  readonly spec?: object
  readonly value?: number
  readonly status?: object
}

let house: SmallHouse
let api: KubeApi
let signal: AbortSignal
/** Whether the end of Pods on servers takes for ever. */
let lingering = false
const opened: string[] = []

const hostname = 'kubernetes.io/hostname'
const zone = 'topology.kubernetes.io/zone'

// Two servers of two cores, each a zone of its own, and a virtual node in a third.
beforeAll(async () => {
  house = await startSmallHouse({
    servers: [
      { name: 'server-0', cpu: '2', labels: { [zone]: 'a' } },
      { name: 'server-1', cpu: '2', labels: { [zone]: 'b' } },
    ],
    pools: [{ name: 'burst', capacity: { cpu: '8', memory: '32Gi' }, labels: { [zone]: 'c' } }],
    kubelets: { startMs: 20, owns: ({ metadata }) => !(lingering && metadata?.deletionTimestamp) },
  })
  ;({ api, signal } = house)
})

afterEach(async () => {
  lingering = false
  for (const namespace of opened.splice(0)) await clear(namespace)
})

afterAll(async () => await house?.[Symbol.asyncDispose]())

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  await waitUntil(what, async () => holds(), signal)
}

async function open(namespace: string): Promise<void> {
  opened.push(namespace)
  await createNamespace(api, { name: namespace }, signal)
}

async function clear(namespace: string): Promise<void> {
  for (const resource of [deployments, daemonSets] as readonly Resource<Loose>[]) {
    for (const { metadata } of (await api.list(resource, { namespace }, signal)).items)
      await api.delete(
        resource,
        { namespace, name: metadata?.name ?? '' },
        { propagation: 'Background' },
        signal,
      )
  }
  await until(`nothing is left of ${namespace}`, async () => {
    for (const { metadata } of podsOf(namespace)) {
      try {
        await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 0 }, signal)
      } catch (error) {
        if (!hasCode(error, 'NotFound')) throw error
      }
    }
    return podsOf(namespace).length === 0
  })
}

function podsOf(namespace: string): readonly Pod[] {
  return house.pods.list().filter(({ metadata }) => metadata?.namespace === namespace)
}

const labels = { app: 'web' }

function podOf(
  at: { readonly namespace: string; readonly name: string },
  cpu: string,
  spec: Partial<PodSpec>,
): Pod {
  const container = { name: 'web', image: 'web:1', resources: { requests: { cpu } } }
  return {
    metadata: { ...at, labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [container], ...spec },
  }
}

function kindOf(nodeName: string | undefined): string {
  return nodeName?.replace(/-\d+$/, '') ?? 'nowhere'
}

function foretold({ outcome, pool }: ExplainView): string {
  if (outcome === 'virtual') return pool ?? 'any pool'
  return outcome === 'server' ? 'server' : 'nowhere'
}

interface Place {
  readonly foretold: string
  readonly found: string
}

/** One Pod after the other, each explained before it is there, and waited for until it is where it goes, or refused. */
async function createAll(
  namespace: string,
  specs: readonly Partial<PodSpec>[],
  cpu = '100m',
): Promise<readonly Place[]> {
  const told: string[] = []
  for (const [index, spec] of specs.entries()) {
    const name = `pod-${index}`
    const pod = podOf({ namespace, name }, cpu, spec)
    told.push(foretold(await house.explain({ pod })))
    await api.create(pods, pod, signal)
    await until(`${name} is decided`, () => {
      const { spec: is, status } = house.pods.get({ namespace, name }) ?? {}
      const refused = status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false
      return is?.nodeName !== undefined || (refused && told.at(-1) === 'nowhere')
    })
  }
  await passBy(namespace)
  return told.map((foretoldPlace, index) => ({
    foretold: foretoldPlace,
    found: kindOf(house.pods.get({ namespace, name: `pod-${index}` })?.spec?.nodeName),
  }))
}

/** A Pod that no server holds goes out: overflow has looked at all that were refused before it. */
async function passBy(namespace: string): Promise<void> {
  const witness = podOf({ namespace, name: 'witness' }, '3', {})
  await api.create(pods, { ...witness, metadata: { ...witness.metadata, labels: {} } }, signal)
  await until(
    'the witness is out there',
    () => kindOf(house.pods.get({ namespace, name: 'witness' })?.spec?.nodeName) === 'burst',
  )
}

function as(places: readonly string[]): readonly Place[] {
  return places.map((place) => ({ foretold: place, found: place }))
}

function times<T>(count: number, value: T): readonly T[] {
  return Array.from({ length: count }, () => value)
}

function spread(topologyKey: string, more: object = {}): Partial<PodSpec> {
  const constraint = {
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  }
  return { topologySpreadConstraints: [{ ...constraint, ...more }] }
}

describe('hard topology spread', () => {
  test.each([hostname, zone])(
    'over %s: the virtual node is a domain, and gets every third Pod',
    async (key) => {
      const namespace = key === zone ? 'over-zones' : 'over-hosts'
      await open(namespace)
      const places = await createAll(namespace, times(6, spread(key)))
      expect(places).toEqual(as(['server', 'server', 'burst', 'server', 'server', 'burst']))
    },
  )

  test('that counts only nodes that the Pod tolerates leaves virtual nodes out', async () => {
    await open('honoured')
    const places = await createAll('honoured', times(6, spread(hostname, { nodeTaintsPolicy: 'Honor' })))
    expect(places).toEqual(as(times(6, 'server')))
  })
})

describe('affinity of Pods to each other', () => {
  const term = { labelSelector: { matchLabels: labels }, topologyKey: hostname }

  test('one to a node: the third goes out, and the fourth waits', async () => {
    await open('apart')
    const alone = {
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
    }
    expect(await createAll('apart', times(4, alone))).toEqual(as(['server', 'server', 'burst', 'nowhere']))
    const pod = house.pods.get({ namespace: 'apart', name: 'pod-3' })
    expect(pod?.spec?.tolerations?.some(({ key }) => key === virtualNodeTaintKey)).toBe(false)
    const { because } = await house.explain({ namespace: 'apart', name: 'pod-3' })
    expect(because).toMatch(
      /no server has room \(2 lack .*anti-affinity to Pods there\), and no virtual node takes it/,
    )
  })

  test('beside another one: who does not fit beside it waits, and does not go where the other one is not', async () => {
    await open('beside')
    const beside = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }
    // The first may go anywhere, the second fits beside it, the third does not.
    expect(await createAll('beside', times(3, beside), '900m')).toEqual(as(['server', 'server', 'nowhere']))
    const nodes = podsOf('beside').flatMap(({ spec, metadata }) =>
      metadata?.labels?.['app'] ? [spec?.nodeName] : [],
    )
    expect(new Set(nodes.filter(Boolean)).size).toBe(1)
  })
})

describe('preemption on servers', () => {
  test('a Pod that others make room for is left to it, and who made room goes out', async () => {
    const namespace = 'preempting'
    await open(namespace)
    const classes: Resource<Loose> = {
      group: 'scheduling.k8s.io',
      version: 'v1',
      plural: 'priorityclasses',
      kind: 'PriorityClass',
      namespaced: false,
    }
    await api.create(classes, { metadata: { name: 'urgent' }, value: 1000 }, signal)
    const template = {
      metadata: { labels },
      spec: podOf({ namespace, name: '' }, '900m', {}).spec ?? { containers: [] },
    }
    const spec = { replicas: 4, selector: { matchLabels: labels }, template }
    await api.create(deployments, { metadata: { namespace, name: 'web' }, spec }, signal)
    await until(
      'four fill the servers',
      () => podsOf(namespace).filter(({ spec: is }) => kindOf(is?.nodeName) === 'server').length === 4,
    )
    lingering = true
    const urgent = podOf({ namespace, name: 'urgent' }, '900m', { priorityClassName: 'urgent' })
    await api.create(pods, { ...urgent, metadata: { ...urgent.metadata, labels: {} } }, signal)
    const now = (): Pod | undefined => house.pods.get({ namespace, name: 'urgent' })
    await until('room is made for it', () => now()?.status?.nominatedNodeName !== undefined)
    const { outcome, because } = await house.explain({ namespace, name: 'urgent' })
    expect([outcome, because]).toEqual([
      'waits',
      `preemption makes room for it on ${now()?.status?.nominatedNodeName}`,
    ])
    // Whoever is put out has a successor, which overflow sends out while the urgent one waits.
    await until('its victim’s successor is out there', () =>
      podsOf(namespace).some(({ spec: is }) => kindOf(is?.nodeName) === 'burst'),
    )
    expect(now()?.spec?.nodeName).toBeUndefined()
    expect(now()?.spec?.tolerations?.some(({ key }) => key === virtualNodeTaintKey)).toBe(false)
    lingering = false
    const [victim] = podsOf(namespace).filter(({ metadata }) => metadata?.deletionTimestamp)
    await api.delete(pods, { namespace, name: victim?.metadata?.name ?? '' }, { graceSeconds: 0 }, signal)
    await until('it is on the server', () => kindOf(now()?.spec?.nodeName) === 'server')
    expect(now()?.spec?.nodeName).toBe(victim?.spec?.nodeName)
  })
})

describe('a volume that is bound to a place', () => {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
  const isOut = (pod: Pod | undefined): boolean =>
    pod?.spec?.tolerations?.some(({ key }) => key === virtualNodeTaintKey) === true

  /** Keeps the rest of server 0, and of nothing else. */
  async function fill(namespace: string): Promise<void> {
    await api.create(pods, podOf({ namespace, name: 'full' }, '1900m', { nodeName: 'server-0' }), signal)
    await until(
      'server 0 is full',
      () => house.pods.get({ namespace, name: 'full' })?.status?.phase === 'Running',
    )
  }

  test('keeps its Pod waiting for that place, and off virtual nodes', async () => {
    const namespace = 'volumes'
    await open(namespace)
    await createVolume(namespace, 'data', ['server-0'])
    await fill(namespace)
    const pod = podOf({ namespace, name: 'bound' }, '500m', { volumes })
    const because =
      'no server has room (1 lacks cpu), and no virtual node takes it (pool burst: 1 by volume volumes-data, which is elsewhere)'
    expect(await house.explain({ pod })).toMatchObject({ outcome: 'stays', because })
    await api.create(pods, pod, signal)
    const now = (): Pod | undefined => house.pods.get({ namespace, name: 'bound' })
    await until(
      'it is refused',
      () => now()?.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') === true,
    )
    await passBy(namespace)
    expect(await house.explain({ namespace, name: 'bound' })).toMatchObject({ outcome: 'stays', because })
    expect(isOut(now())).toBe(false)
    await api.delete(pods, { namespace, name: 'full' }, {}, signal)
    await until('it is where its volume is', () => now()?.spec?.nodeName === 'server-0')
  })

  test('lets its Pod out to a virtual node that it reaches, though a server that it does not reach has room', async () => {
    const namespace = 'in-reach'
    await open(namespace)
    await createVolume(namespace, 'data', ['server-0', 'burst-0'])
    await fill(namespace)
    const pod = podOf({ namespace, name: 'bound' }, '500m', { volumes })
    expect(await house.explain({ pod })).toMatchObject({ outcome: 'virtual', nodes: ['burst-0'] })
    await api.create(pods, pod, signal)
    await until('it is out', () => house.pods.get({ namespace, name: 'bound' })?.spec?.nodeName === 'burst-0')
  })

  test('brings its Pod back to the virtual node where it is, whatever room servers have', async () => {
    const namespace = 'out-there'
    await open(namespace)
    await createVolume(namespace, 'data', ['burst-0'])
    const pod = podOf({ namespace, name: 'bound' }, '500m', { volumes })
    expect(await house.explain({ pod })).toMatchObject({
      outcome: 'virtual',
      because: 'it has a volume that no server reaches, and virtual nodes do',
    })
    await api.create(pods, pod, signal)
    await until('it is out', () => house.pods.get({ namespace, name: 'bound' })?.spec?.nodeName === 'burst-0')
  })
})

async function createVolume(namespace: string, claimName: string, reach: readonly string[]): Promise<void> {
  const name = `${namespace}-${claimName}`
  const core = { group: '', version: 'v1' }
  const volumes: Resource<Loose> = {
    ...core,
    plural: 'persistentvolumes',
    kind: 'PersistentVolume',
    namespaced: false,
  }
  const claims: Resource<Loose> = {
    ...core,
    plural: 'persistentvolumeclaims',
    kind: 'PersistentVolumeClaim',
    namespaced: true,
  }
  const common = { accessModes: ['ReadWriteOnce'], storageClassName: '' }
  const nodeSelectorTerms = [{ matchExpressions: [{ key: hostname, operator: 'In', values: [...reach] }] }]
  const spec = {
    ...common,
    capacity: { storage: '1Gi' },
    local: { path: '/data' },
    nodeAffinity: { required: { nodeSelectorTerms } },
    claimRef: { namespace, name: claimName },
  }
  await api.create(volumes, { metadata: { name }, spec }, signal)
  const claim = { ...common, resources: { requests: { storage: '1Gi' } }, volumeName: name }
  await api.create(claims, { metadata: { namespace, name: claimName }, spec: claim }, signal)
  await until('the claim is bound', async () => {
    const { status } = await api.get<KubeObject & { status?: { phase?: string } }>(
      claims,
      { namespace, name: claimName },
      signal,
    )
    return status?.phase === 'Bound'
  })
}

interface Rollout extends KubeObject {
  readonly status?: Readonly<Record<string, number>>
}

describe('two updates at once', () => {
  test('of a Deployment over servers and virtual nodes and of a DaemonSet that tolerates all: neither stalls', async () => {
    const namespace = 'updates'
    await open(namespace)
    const { spec: web = { containers: [] } } = podOf({ namespace, name: '' }, '600m', {})
    const template = { metadata: { labels }, spec: web }
    await api.create(
      deployments,
      {
        metadata: { namespace, name: 'web' },
        spec: { replicas: 8, selector: { matchLabels: labels }, template },
      },
      signal,
    )
    const agent = { app: 'agent' }
    const { spec: small = { containers: [] } } = podOf({ namespace, name: '' }, '10m', {
      tolerations: [{ operator: 'Exists' }],
    })
    const set = { selector: { matchLabels: agent }, template: { metadata: { labels: agent }, spec: small } }
    await api.create<Loose>(daemonSets, { metadata: { namespace, name: 'agent' }, spec: set }, signal)
    await until('both are there', async () => (await isThrough(namespace, 1)) && outThere(namespace) > 0)
    const patch = {
      type: 'merge',
      body: { spec: { template: { metadata: { annotations: { version: '2' } } } } },
    } as const
    await Promise.all([
      api.patch(deployments, { namespace, name: 'web' }, patch, signal),
      api.patch(daemonSets, { namespace, name: 'agent' }, patch, signal),
    ])
    await until('both are through', async () => isThrough(namespace, 2))
    const agents = podsOf(namespace).filter(({ metadata }) => metadata?.labels?.['app'] === 'agent')
    expect(agents.map(({ spec: is }) => is?.nodeName ?? '').sort()).toEqual(['server-0', 'server-1'])
    expect(outThere(namespace)).toBeGreaterThan(0)
  })
})

function outThere(namespace: string): number {
  return podsOf(namespace).filter(({ spec }) => kindOf(spec?.nodeName) === 'burst').length
}

async function isThrough(namespace: string, generation: number): Promise<boolean> {
  const web = (await api.get(deployments, { namespace, name: 'web' }, signal)) as Rollout
  const agent = (await api.get<KubeObject>(daemonSets, { namespace, name: 'agent' }, signal)) as Rollout
  const { observedGeneration, updatedReplicas, availableReplicas, replicas } = web.status ?? {}
  const isWebThrough =
    observedGeneration === generation && updatedReplicas === 8 && availableReplicas === 8 && replicas === 8
  const { updatedNumberScheduled, numberAvailable, desiredNumberScheduled } = agent.status ?? {}
  const isAgentThrough = updatedNumberScheduled === 2 && numberAvailable === 2 && desiredNumberScheduled === 2
  return isWebThrough && isAgentThrough && agent.status?.['observedGeneration'] === generation
}
