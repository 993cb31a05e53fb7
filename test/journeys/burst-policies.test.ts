/** What BurstPolicies do, on a real control plane with the whole of Spillway and simulated containers. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askAdmin } from '../../src/cli/admin-client.ts'
import type { ExplainView } from '../../src/console/api/contract.ts'
import { publishDefinitions } from '../../src/dev-cluster/definitions.ts'
import type { Resource } from '../../src/kube/api.ts'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation } from '../../src/model/words.ts'
import {
  burstPolicies,
  clusterBurstPolicies,
  type BurstPolicyObject,
} from '../../src/scheduling/burst/burst-policy-object.ts'
import { isUnschedulable } from '../../src/scheduling/unschedulable.ts'
import { servesPolicies } from '../support/admission.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { startServer } from '../support/small-cluster.ts'
import { until } from '../support/until.ts'

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
const definitions: Resource<KubeObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
}
const budgets: Resource<Deployment> = {
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
}

const ending = new AbortController()
const { signal } = ending
let journey: JourneyApp

// One server of two cores. Pool small holds four Pods of a core, pool burst and pool dear a hundred.
beforeAll(async () => {
  journey = await JourneyApp.start(
    {
      clusterName: 'bursting',
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [
        { name: 'small', backend: 'local', capacity: { cpu: 4, memory: '64Gi' }, priceBook: 'flat-demo' },
        { name: 'burst', backend: 'local', capacity: { cpu: 100, memory: '400Gi' }, priceBook: 'flat-demo' },
        { name: 'dear', backend: 'local', capacity: { cpu: 100, memory: '400Gi' } },
      ],
    },
    signal,
  )
  await startServer(journey.api, { name: 'server-0', cpu: '2', memory: '32Gi' }, signal)
  await until('all four nodes take Pods', async () => (await openNodes()).length === 4, signal)
  // The server is full but for what a test leaves free: nobody else is to have it.
  await createNamespace(journey.api, { name: 'hog' }, signal)
  await journey.api.create(pods, podOf('hog', 'hog', { cpu: '2' }), signal)
  await until(
    'the server is full',
    async () => (await podsIn('hog'))[0]?.spec?.nodeName === 'server-0',
    signal,
  )
})

afterAll(async () => {
  ending.abort()
  await journey?.[Symbol.asyncDispose]()
})

/** Names of the nodes that take Pods: a new one is tainted until the node-lifecycle controller has seen that it is ready. */
async function openNodes(): Promise<readonly string[]> {
  const { items } = await journey.api.list(nodes, {}, signal)
  return items
    .filter(({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')))
    .map(({ metadata }) => metadata?.name ?? '')
}

interface PodWish {
  readonly cpu?: string
  readonly labels?: Record<string, string>
  readonly spec?: object
}

function podOf(namespace: string, name: string, { cpu = '1', labels = {}, spec }: PodWish = {}): Pod {
  const container = {
    name: 'main',
    image: 'registry.k8s.io/pause:3.10.2',
    resources: { requests: { cpu, memory: '1Gi' } },
  }
  return {
    metadata: { namespace, name, labels },
    spec: { terminationGracePeriodSeconds: 0, containers: [container], ...spec },
  }
}

async function deploy(
  namespace: string,
  replicas: number,
  labels: Record<string, string> = {},
): Promise<void> {
  const all = { app: 'web', ...labels }
  const { spec } = podOf(namespace, 'web')
  const template = { metadata: { labels: all }, spec }
  await journey.api.create(
    deployments,
    { metadata: { namespace, name: 'web' }, spec: { replicas, selector: { matchLabels: all }, template } },
    signal,
  )
}

async function scale(namespace: string, replicas: number): Promise<void> {
  const patch = { type: 'merge', body: { spec: { replicas } } } as const
  await journey.api.patch(deployments, { namespace, name: 'web' }, patch, signal)
}

async function podsIn(namespace: string): Promise<readonly Pod[]> {
  const { items } = await journey.api.list(pods, { namespace }, signal)
  return items.filter(({ metadata }) => !metadata?.deletionTimestamp)
}

/** How many Pods of the namespace are on nodes of that pool. */
async function onPool(namespace: string, pool: string): Promise<number> {
  return (await podsIn(namespace)).filter(({ spec }) => spec?.nodeName?.startsWith(`${pool}-`)).length
}

async function refusedIn(namespace: string): Promise<number> {
  return (await podsIn(namespace)).filter(isUnschedulable).length
}

async function policy(namespace: string, name: string, spec: object): Promise<void> {
  await journey.api.create(burstPolicies, { metadata: { namespace, name }, spec }, signal)
  // Accepted: Spillway has seen it, so that the Pods that come now are judged by it.
  await untilStatus(namespace, name, ({ observedGeneration }) => observedGeneration === 1)
}

type Status = NonNullable<BurstPolicyObject['status']>

async function statusOf(namespace: string, name: string): Promise<Status> {
  return (await journey.api.get(burstPolicies, { namespace, name }, signal)).status ?? {}
}

async function untilStatus(
  namespace: string,
  name: string,
  holds: (status: Status) => boolean,
): Promise<void> {
  await until(
    `the status of ${namespace}/${name}`,
    async () => holds(await statusOf(namespace, name)),
    signal,
  )
}

function reasonOf({ conditions = [] }: Status, type: string): string | undefined {
  return conditions.find((condition) => condition.type === type)?.reason
}

async function newHome(name: string, labels: Record<string, string> = {}): Promise<string> {
  await createNamespace(journey.api, { name, labels }, signal)
  return name
}

async function explain(query: object): Promise<ExplainView> {
  const target = join(journey.folder, 'admin.sock')
  return (await askAdmin({ target }, '/v1/explain', { body: query }, signal)) as ExplainView
}

async function eventReasons(namespace: string): Promise<readonly string[]> {
  const { items } = await journey.api.list(events, { namespace }, signal)
  return items.map(({ reason = '' }) => reason)
}

describe('the mode of a policy', () => {
  test('Never keeps Pods in, tells why on the Pod, and lets them out when it is changed', async () => {
    const home = await newHome('never')
    await policy(home, 'stay', { mode: 'Never' })
    await deploy(home, 2)
    await until('both are kept in', async () => (await statusOf(home, 'stay')).heldPods === 2, signal)
    expect(await onPool(home, 'small')).toBe(0)
    await until('an event says so', async () => (await eventReasons(home)).includes('OverflowHeld'), signal)
    const [one] = await podsIn(home)
    const view = await explain({ namespace: home, name: one?.metadata?.name })
    expect(view).toMatchObject({ outcome: 'stays', because: 'BurstPolicy never/stay says Never' })
    expect(view.rules.at(-1)).toEqual({
      rule: 'policy',
      passes: false,
      evidence: 'BurstPolicy never/stay says Never',
    })
    const patch = { type: 'merge', body: { spec: { mode: 'Auto', pools: ['burst'] } } } as const
    await journey.api.patch(burstPolicies, { namespace: home, name: 'stay' }, patch, signal)
    await until('both go out', async () => (await onPool(home, 'burst')) === 2, signal)
    await untilStatus(home, 'stay', ({ virtualPods, heldPods }) => virtualPods === 2 && heldPods === 0)
  })

  test('Always lets a Pod out that the scheduler has refused, whatever the servers have', async () => {
    const home = await newHome('always')
    await policy(home, 'out', { mode: 'Always', pools: ['burst'] })
    // No server is meant for it, and its selector names no virtual node: Auto would keep it.
    const wants = { nodeSelector: { type: 'virtual-kubelet', 'kubernetes.io/hostname': 'burst-0' } }
    await journey.api.create(pods, podOf(home, 'job', { spec: wants }), signal)
    await until('it is out', async () => (await onPool(home, 'burst')) === 1, signal)
  })

  test('waitSeconds leaves room for a cluster autoscaler before a Pod goes out', async () => {
    const home = await newHome('waits')
    await policy(home, 'patient', { waitSeconds: 4, pools: ['burst'] })
    await journey.api.create(pods, podOf(home, 'one'), signal)
    await until('it is refused', async () => (await refusedIn(home)) === 1, signal)
    const view = await explain({ namespace: home, name: 'one' })
    expect(view.outcome).toBe('waits')
    expect(view.rules.at(-1)?.rule).toBe('waiting time')
    await until('it is out', async () => (await onPool(home, 'burst')) === 1, signal)
    const [pod] = await podsIn(home)
    const since = (type: string): number =>
      Date.parse(pod?.status?.conditions?.find((one) => one.type === type)?.lastTransitionTime ?? '')
    const createdMs = Date.parse(String(pod?.metadata?.creationTimestamp))
    // Times in the API are whole seconds.
    expect(since('PodScheduled') - createdMs).toBeGreaterThanOrEqual(3000)
  })
})

describe('Always, while a server has room', () => {
  // Nobody comes there who does not say so.
  const taint = { key: 'spare', value: 'yes', effect: 'NoSchedule' } as const
  const tolerations = [{ key: 'spare', operator: 'Exists' }]
  const always = { mode: 'Always', pools: ['burst'] }

  beforeAll(async () => {
    await startServer(journey.api, { name: 'spare-0', cpu: '100', memory: '400Gi', taints: [taint] }, signal)
    // Before that it would be let out: no server has room.
    await until('the server is open', async () => (await openNodes()).includes('spare-0'), signal)
    const home = await newHome('nobody')
    await create(home, 'one')
    await until('the server takes Pods', async () => (await nodeOf(home, 'one')) === 'spare-0', signal)
  })
  // The server is to be no way out for the tests that follow.
  afterAll(async () => await journey.api.delete(nodes, { name: 'spare-0' }, {}, signal))

  async function create(home: string, name: string, labels: Record<string, string> = {}): Promise<Pod> {
    return await journey.api.create(pods, podOf(home, name, { labels, spec: { tolerations } }), signal)
  }

  async function nodeOf(namespace: string, name: string): Promise<string | undefined> {
    return (await journey.api.get(pods, { namespace, name }, signal)).spec?.nodeName
  }

  /** The API server learns of policies, and of what Spillway says of them, by a watch. */
  async function untilHeard(home: string, labels: Record<string, string> = {}): Promise<void> {
    const gated = { schedulingGates: [{ name: 'example.com/never' }] }
    const isHeard = async (): Promise<boolean> => {
      const probe = podOf(home, '', { labels, spec: gated })
      const made = await journey.api.create(
        pods,
        { ...probe, metadata: { namespace: home, generateName: 'probe-', labels } },
        signal,
      )
      await journey.api.delete(pods, { namespace: home, name: made.metadata?.name ?? '' }, {}, signal)
      return made.spec?.nodeSelector?.['type'] === 'virtual-kubelet'
    }
    await until(`Always is heard in ${home}`, isHeard, signal)
  }

  test('goes to a virtual node, by all that its policy says', async () => {
    const home = await newHome('from-the-start')
    await policy(home, 'out', { ...always, maxVirtualReplicas: 1 })
    if (!servesPolicies) return await isTold(home)
    expect(reasonOf(await statusOf(home, 'out'), 'AtCreation')).toBe('FromTheStart')
    await untilHeard(home)
    const foretold = await explain({ pod: podOf(home, 'one', { spec: { tolerations } }) })
    expect(foretold).toMatchObject({ outcome: 'virtual', pool: 'burst' })
    expect((await create(home, 'one')).spec?.nodeSelector).toEqual({ type: 'virtual-kubelet' })
    await until('it is out', async () => (await onPool(home, 'burst')) === 1, signal)
    // Its cap holds, and no server takes whom it holds.
    const labels = { app: 'web' }
    const template = { metadata: { labels }, spec: podOf(home, 'web', { spec: { tolerations } }).spec }
    const spec = { replicas: 3, selector: { matchLabels: labels }, template }
    await journey.api.create(deployments, { metadata: { namespace: home, name: 'web' }, spec }, signal)
    await untilStatus(home, 'out', ({ heldPods, virtualPods }) => heldPods === 2 && virtualPods === 2)
    expect((await podsIn(home)).map(({ spec: { nodeName } = {} }) => nodeName ?? 'none').sort()).toEqual([
      'burst-0',
      'burst-0',
      'none',
      'none',
    ])
  })

  /** Where there are no admission policies. */
  async function isTold(home: string): Promise<void> {
    await create(home, 'one')
    await until('the server takes it', async () => (await nodeOf(home, 'one')) === 'spare-0', signal)
    await until(
      'an event says so',
      async () => (await eventReasons(home)).includes('PlacementMissed'),
      signal,
    )
  }

  test.runIf(servesPolicies)('is about whom its selectors say, with each operator', async () => {
    const home = await newHome('selected')
    const matchExpressions = [
      { key: 'tier', operator: 'In', values: ['front', 'back'] },
      { key: 'stage', operator: 'NotIn', values: ['test'] },
      { key: 'team', operator: 'Exists' },
      { key: 'pinned', operator: 'DoesNotExist' },
    ]
    const podSelector = { matchLabels: { app: 'web' }, matchExpressions }
    await policy(home, 'out', { ...always, podSelector })
    const right = { app: 'web', tier: 'back', team: 'a' }
    await untilHeard(home, right)
    const kept = async (name: string, labels: Record<string, string>): Promise<boolean> =>
      (await create(home, name, labels)).spec?.nodeSelector !== undefined
    expect(await kept('right', right)).toBe(true)
    expect(await kept('staged', { ...right, stage: 'live' })).toBe(true)
    expect(await kept('other-app', { ...right, app: 'other' })).toBe(false)
    expect(await kept('other-tier', { ...right, tier: 'middle' })).toBe(false)
    expect(await kept('tested', { ...right, stage: 'test' })).toBe(false)
    expect(await kept('no-team', { app: 'web', tier: 'back' })).toBe(false)
    expect(await kept('pinned', { ...right, pinned: '' })).toBe(false)
    expect(await kept('labelled', { ...right, 'spillway.dev/placement': 'auto' })).toBe(false)
    expect(await kept('foreign', { ...right, 'virtual-kubelet.io/burst-to-cci': 'off' })).toBe(false)
    await until('those that it is about are out', async () => (await onPool(home, 'burst')) === 2, signal)
  })

  test.runIf(servesPolicies)('of the cluster is about namespaces by their labels', async () => {
    const home = await newHome('of-the-cluster', { kept: 'off' })
    const other = await newHome('beside-it')
    const spec = { ...always, namespaceSelector: { matchLabels: { kept: 'off' } } }
    await journey.api.create(clusterBurstPolicies, { metadata: { name: 'kept-off' }, spec }, signal)
    await untilHeard(home)
    await create(home, 'one')
    await create(other, 'one')
    await until('it is out', async () => (await onPool(home, 'burst')) === 1, signal)
    await until('the other is not', async () => (await nodeOf(other, 'one')) === 'spare-0', signal)
    await journey.api.delete(clusterBurstPolicies, { name: 'kept-off' }, {}, signal)
  })

  test('of which another policy comes first says so, and tells of whom it missed', async () => {
    const home = await newHome('behind')
    await policy(home, 'all', always)
    await policy(home, 'web', { mode: 'Auto', podSelector: { matchLabels: { app: 'web' } } })
    await untilStatus(home, 'all', (status) => reasonOf(status, 'AtCreation') === 'AfterRefusal')
    const behind = 'BurstPolicy behind/web counts before it and says Auto'
    await until(
      'an event says that it comes behind',
      async () => {
        const { items } = await journey.api.list(events, { namespace: home }, signal)
        return items.some(({ message }) => message?.includes(behind))
      },
      signal,
    )
    const goesIn = async (): Promise<boolean> => {
      const made = await create(home, `pod-${Math.floor(systemClock.wallMs())}`)
      return made.spec?.nodeSelector === undefined
    }
    await until('the API server has heard', goesIn, signal)
    await until(
      'an event says so',
      async () => (await eventReasons(home)).includes('PlacementMissed'),
      signal,
    )
  })
})

describe('caps on replicas', () => {
  test('of thirty Pods at once exactly as many go out as may, and one more for each that leaves', async () => {
    const home = await newHome('capped')
    await policy(home, 'seven', { maxVirtualReplicas: 7, pools: ['burst'] })
    await deploy(home, 30)
    let most = 0
    await until(
      'seven are out and the rest wait',
      async () => {
        most = Math.max(most, await onPool(home, 'burst'))
        return most >= 7 && (await refusedIn(home)) === 23
      },
      signal,
    )
    await untilStatus(home, 'seven', ({ heldPods, virtualPods }) => heldPods === 23 && virtualPods === 7)
    // A new version of the Deployment is of the same workload.
    const version = { spec: { template: { metadata: { labels: { version: '2' } } } } }
    await journey.api.patch(
      deployments,
      { namespace: home, name: 'web' },
      { type: 'merge', body: version },
      signal,
    )
    await untilStatus(home, 'seven', ({ heldPods = 0 }) => heldPods > 23)
    expect(await onPool(home, 'burst')).toBeLessThanOrEqual(7)
    await scale(home, 3)
    await until('all that are left are out', async () => (await podsIn(home)).length === 3, signal)
    await until('and are', async () => (await onPool(home, 'burst')) <= 3, signal)
    expect(most).toBe(7)
  })

  test('minServerReplicas keeps Pods in until so many are on servers', async () => {
    const home = await newHome('floor')
    await policy(home, 'two', { minServerReplicas: 1, pools: ['burst'] })
    await deploy(home, 3)
    await untilStatus(home, 'two', ({ heldPods }) => heldPods === 3)
    expect(await onPool(home, 'burst')).toBe(0)
    await startServer(journey.api, { name: 'server-1', cpu: '1', memory: '8Gi' }, signal)
    await until('one is on the new server', async () => (await onPool(home, 'server')) === 1, signal)
    await until('and the others go out', async () => (await onPool(home, 'burst')) === 2, signal)
  })
})

describe('pools', () => {
  test('are tried in the policy’s order, the next one when one is full', async () => {
    const home = await newHome('ordered')
    await policy(home, 'small-first', { pools: ['small', 'burst'] })
    await deploy(home, 6)
    await until(
      'four are on small, and the others on burst',
      async () => (await onPool(home, 'small')) === 4 && (await onPool(home, 'burst')) === 2,
      signal,
    )
    await journey.api.delete(deployments, { namespace: home, name: 'web' }, {}, signal)
    await until('they are gone', async () => (await podsIn(home)).length === 0, signal)
  })

  test('that are not there are named, and passed over', async () => {
    const home = await newHome('unknown')
    await policy(home, 'lost', { pools: ['nowhere', 'burst'] })
    const status = await statusOf(home, 'lost')
    expect(reasonOf(status, 'Accepted')).toBe('UnknownPool')
    await deploy(home, 1)
    await until('it goes to the other', async () => (await onPool(home, 'burst')) === 1, signal)
    const { findings } = (await askAdmin(
      { target: join(journey.folder, 'admin.sock') },
      '/v1/check',
      {},
      signal,
    )) as { findings: readonly { finding: string }[] }
    expect(findings.map(({ finding }) => finding)).toContain(
      'BurstPolicy unknown/lost names pools that are not there: nowhere',
    )
  })

  test('that cost more than the budget holds are passed over for a cheaper one', async () => {
    const home = await newHome('cheaper')
    const view = await explain({ pod: podOf(home, 'priced') })
    const perHour = (pool: string): number =>
      Number(view.prices.find((one) => one.pool === pool)?.size?.perHour)
    const [dear, burst] = [perHour('dear'), perHour('burst')]
    expect(dear).not.toBe(burst)
    const [first, second] = dear > burst ? ['dear', 'burst'] : ['burst', 'dear']
    // It ends by itself within a minute: what it may cost is bounded by that, not by the month.
    const between = ((dear + burst) / 2 / 60).toFixed(9)
    await policy(home, 'thrifty', { pools: [first, second], spend: { currency: 'USD', perMonth: between } })
    const spec = { activeDeadlineSeconds: 60 }
    await journey.api.create(pods, podOf(home, 'one', { spec }), signal)
    await until('it is on the cheaper one', async () => (await onPool(home, second)) === 1, signal)
    expect(await onPool(home, first)).toBe(0)
  })
})

describe('caps on spend', () => {
  test('nothing goes out that the cap has no room for until the period ends', async () => {
    const home = await newHome('budget')
    const view = await explain({ pod: podOf(home, 'priced') })
    const perHour = Number(view.prices.find(({ pool }) => pool === 'burst')?.size?.perHour)
    // Each ends within five minutes: three and a half of them fit in a month.
    await policy(home, 'three', {
      pools: ['burst'],
      spend: { currency: 'USD', perMonth: ((perHour / 12) * 3.5).toFixed(9) },
    })
    for (let index = 0; index < 6; index += 1) {
      const spec = { activeDeadlineSeconds: 300 }
      await journey.api.create(pods, podOf(home, `job-${index}`, { spec }), signal)
    }
    await untilStatus(home, 'three', ({ heldPods }) => heldPods === 3)
    await until('three are out', async () => (await onPool(home, 'burst')) === 3, signal)
    const status = await statusOf(home, 'three')
    expect(reasonOf(status, 'BudgetExhausted')).toBe('NoRoom')
    expect(status.spend?.summary).toMatch(/^\$[\d.]+ of \$[\d.]+ per month$/)
    const waiting = (await podsIn(home)).find(isUnschedulable)
    const held = await explain({ namespace: home, name: waiting?.metadata?.name })
    expect(held.rules.at(-1)?.evidence).toMatch(
      /^BurstPolicy budget\/three: until the end of the month it costs up to/,
    )
    await until(
      'an event is on the policy',
      async () => (await eventReasons(home)).includes('NoRoom'),
      signal,
    )
    // One ends: the ledger says what it has cost, and there is room for another.
    const out = (await podsIn(home)).find(({ spec }) => spec?.nodeName)
    await journey.api.delete(pods, { namespace: home, name: out?.metadata?.name ?? '' }, {}, signal)
    await untilStatus(home, 'three', ({ heldPods }) => heldPods === 2)
    await until('another is out', async () => (await onPool(home, 'burst')) === 3, signal)
  })

  test('a cap of the cluster holds for a namespace with a policy of its own, and Stop evicts', async () => {
    const home = await newHome('stopped', { tier: 'cheap' })
    await policy(home, 'own', { pools: ['burst'] })
    await deploy(home, 2)
    await until('both are out', async () => (await onPool(home, 'burst')) === 2, signal)
    await journey.api.create(
      budgets,
      {
        metadata: { namespace: home, name: 'one' },
        spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } } },
      },
      signal,
    )
    await until('both are Ready', async () => (await podsIn(home)).every(isReady), signal)
    const before = new Set((await podsIn(home)).map(({ metadata }) => metadata?.uid))
    // Whatever they have cost by now is more than that.
    const spec = {
      namespaceSelector: { matchLabels: { tier: 'cheap' } },
      spend: { currency: 'USD', perDay: '0.000000001', atCap: 'Stop' },
    }
    await journey.api.create(clusterBurstPolicies, { metadata: { name: 'cheap' }, spec }, signal)
    // The budget lets one go; its replacement finds no room and may not go out, so the other stays.
    await until('one is evicted', async () => (await onPool(home, 'burst')) === 1, signal)
    await until('its replacement waits', async () => (await refusedIn(home)) === 1, signal)
    const cluster = async (): Promise<Status> =>
      (await journey.api.get(clusterBurstPolicies, { name: 'cheap' }, signal)).status ?? {}
    await until(
      'the status says so',
      async () => reasonOf(await cluster(), 'BudgetExhausted') === 'CapSpent',
      signal,
    )
    const out = (await podsIn(home)).filter(({ spec: one }) => one?.nodeName?.startsWith('burst'))
    expect(out.map(({ metadata }) => before.has(metadata?.uid))).toEqual([true])
    await until('the Pod is told', async () => (await eventReasons(home)).includes('SpendCapReached'), signal)
    await journey.api.delete(budgets, { namespace: home, name: 'one' }, {}, signal)
    await until('the other goes, too', async () => (await onPool(home, 'burst')) === 0, signal)
    await journey.api.delete(clusterBurstPolicies, { name: 'cheap' }, {}, signal)
    await until('both may go out again', async () => (await onPool(home, 'burst')) === 2, signal)
  })
})

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false
}

test('who counts before whom: the Pod’s label, the namespace’s label, its policies, the cluster’s', async () => {
  await journey.api.create(
    clusterBurstPolicies,
    {
      metadata: { name: 'everybody' },
      spec: { namespaceSelector: { matchLabels: { ranked: 'yes' } }, mode: 'Never' },
    },
    signal,
  )
  const home = await newHome('ranked', { ranked: 'yes' })
  const verdict = async (labels: Record<string, string>): Promise<string | undefined> => {
    const view = await explain({ pod: podOf(home, 'asked', { labels }) })
    return `${view.outcome}: ${view.rules.find(({ rule }) => rule === 'policy')?.evidence ?? view.because}`
  }
  await until(
    'the cluster’s policy is known',
    async () => (await verdict({}))?.includes('everybody') === true,
    signal,
  )
  expect(await verdict({})).toBe('stays: ClusterBurstPolicy everybody says Never')
  await policy(home, 'all', { pools: ['burst'] })
  expect(await verdict({})).toBe(
    'virtual: BurstPolicy ranked/all says Auto, before ClusterBurstPolicy everybody',
  )
  await policy(home, 'batch', {
    podSelector: { matchLabels: { app: 'batch' } },
    pools: ['burst'],
    mode: 'Never',
  })
  expect(await verdict({ app: 'batch' })).toBe(
    'stays: BurstPolicy ranked/batch says Never, before BurstPolicy ranked/all, ClusterBurstPolicy everybody',
  )
  expect(await verdict({ app: 'batch', 'spillway.dev/placement': 'auto' })).toBe(
    'virtual: the label counts before it: BurstPolicy ranked/batch says Never, before BurstPolicy ranked/all, ClusterBurstPolicy everybody',
  )
  // And the real thing does as was foretold.
  await journey.api.create(pods, podOf(home, 'kept', { labels: { app: 'batch' } }), signal)
  await journey.api.create(
    pods,
    podOf(home, 'labelled', { labels: { app: 'batch', 'spillway.dev/placement': 'auto' } }),
    signal,
  )
  await until(
    'the labelled one is out',
    async () =>
      (await podsIn(home)).some(
        ({ metadata, spec }) => metadata?.name === 'labelled' && spec?.nodeName?.startsWith('burst'),
      ),
    signal,
  )
  await untilStatus(home, 'batch', ({ heldPods }) => heldPods === 1)
  await journey.api.delete(clusterBurstPolicies, { name: 'everybody' }, {}, signal)
})

test('scaleIn None leaves the order to Kubernetes', async () => {
  const home = await newHome('unordered')
  await policy(home, 'none', {
    pools: ['burst'],
    scaleIn: 'None',
    podSelector: { matchLabels: { order: 'none' } },
  })
  await deploy(home, 1, { order: 'none' })
  await until('it is out', async () => (await onPool(home, 'burst')) === 1, signal)
  const other = await newHome('ordered-out')
  await policy(other, 'first', { pools: ['burst'] })
  await deploy(other, 1)
  const costs = async (namespace: string): Promise<(string | undefined)[]> =>
    (await podsIn(namespace)).map(({ metadata }) => metadata?.annotations?.[deletionCostAnnotation])
  await until('the other has a cost', async () => (await costs(other))[0] === '-1000', signal)
  expect(await costs(home)).toEqual([undefined])
})

test('a definition that goes lets everybody out again, and one that comes is found', async () => {
  const home = await newHome('later')
  await policy(home, 'stay', { mode: 'Never' })
  await journey.api.create(pods, podOf(home, 'one'), signal)
  await untilStatus(home, 'stay', ({ heldPods }) => heldPods === 1)
  await journey.api.delete(definitions, { name: 'burstpolicies.spillway.dev' }, {}, signal)
  await until('it is out', async () => (await podsIn(home))[0]?.spec?.nodeName !== undefined, signal)
  await until('the definition is gone', async () => !(await isDefined()), signal)
  await publishDefinitions(journey.api, systemClock, signal)
  await policy(home, 'again', { mode: 'Never' })
  await journey.api.create(pods, podOf(home, 'two'), signal)
  await untilStatus(home, 'again', ({ heldPods }) => heldPods === 1)
})

async function isDefined(): Promise<boolean> {
  try {
    await journey.api.get(definitions, { name: 'burstpolicies.spillway.dev' }, signal)
    return true
  } catch (error) {
    if (hasCode(error, 'NotFound')) return false
    throw error
  }
}
