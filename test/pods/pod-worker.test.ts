import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SimulatorBackend } from '../../src/backends/simulator/backend.ts'
import { SimulatedWorld } from '../../src/backends/simulator/world.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeApi, ObjectName, Patch } from '../../src/kube/api.ts'
import type { BudgetRefused, Refused } from '../../src/lifecycle/admission.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod, PodStatus } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { DesiredPods } from '../../src/pods/desired-pods.ts'
import type { Meter } from '../../src/pods/meter.ts'
import { Observations } from '../../src/pods/observations.ts'
import { PodWorker } from '../../src/pods/pod-worker.ts'
import { sandboxRules } from '../../src/pods/sandbox-rules.ts'
import { StatusReporter } from '../../src/pods/status-reporter.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aContainer, aNode, aPod } from '../support/builders.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakePodSources } from '../support/pod-sources.ts'

const uid = asPodUid('11111111-1111-4111-8111-111111111111')
const signal = new AbortController().signal

let clock: FakeClock
let world: SimulatedWorld
let backend: SimulatorBackend
let store: ObjectStore<Pod>
let worker: PodWorker
let told: string[]
let ledgerWorks: boolean
let ledgerFailure: SpillwayError
let neighbours: readonly Pod[]
let overBudget: BudgetRefused | undefined
let forbidden: Refused | undefined
let watching: AbortController
let statuses: PodStatus[]

/** Writes down what is asked of it, in order; can be told to be out of order. */
function meter(): Meter {
  const write = (what: string): Promise<void> => {
    if (!ledgerWorks) return Promise.reject(ledgerFailure)
    told.push(what)
    return Promise.resolve()
  }
  return {
    intent: () => write('intent'),
    record: (_pod, { phase }) => write(`record ${phase}`),
    resizing: ({ metadata }) => write(`resizing ${metadata?.generation}`),
    resizeRefused: () => write('resizeRefused'),
    stopping: () => write('stopping'),
    closeLost: () => write('closeLost'),
    priceTags: (_uid, isOver) =>
      ledgerWorks
        ? Promise.resolve({
            spec: '1 core, 2 GiB',
            pricePerHour: '0.03 USD',
            cost: isOver ? '0.01 USD' : undefined,
          })
        : Promise.reject(ledgerFailure),
    voided: () => write('voided'),
  }
}

/** The Pod with the status written, as the API server would have it; conditions merge by type. */
function applied(target: ObjectName, { status = {}, metadata }: Pod): Pod {
  const pod = store.get(target) ?? {}
  const written = status.conditions ?? []
  const kept = (pod.status?.conditions ?? []).filter(
    ({ type }) => !written.some((condition) => condition.type === type),
  )
  const resourceVersion = String(Number(pod.metadata?.resourceVersion) + 1)
  const after = {
    ...pod,
    metadata: {
      ...pod.metadata,
      resourceVersion,
      annotations: { ...pod.metadata?.annotations, ...metadata?.annotations },
    },
    status: { ...pod.status, ...status, conditions: [...kept, ...written] },
  }
  store.put(after)
  return after
}

/** What the worker asks of the API server: statuses and the delete of the object. */
const api = {
  patch: (_resource: unknown, target: ObjectName, { body }: Patch) => {
    const patch = body as Pod
    if (patch.status) statuses.push(patch.status)
    told.push(`status ${patch.status?.phase ?? 'same phase'}`)
    return Promise.resolve(applied(target, patch))
  },
  delete: () => {
    told.push('object deleted')
    const pod = store.byUid(uid)
    if (pod) store.remove(pod)
    return Promise.resolve()
  },
} as unknown as KubeApi

beforeEach(async () => {
  clock = new FakeClock()
  world = new SimulatedWorld({ clock })
  backend = new SimulatorBackend({ name: 'simulated', world })
  store = new ObjectStore<Pod>({ log: silentLog() })
  store.replaceAll([])
  told = []
  statuses = []
  ledgerWorks = true
  ledgerFailure = new SpillwayError('LedgerUnavailable', 'the disk is full')
  neighbours = []
  overBudget = undefined
  forbidden = undefined
  watching = new AbortController()
  const observations = new Observations({ changed: () => {}, happened: () => {} })
  observations.follow(backend, watching.signal).catch(() => undefined)
  await clock.advance(1)
  worker = new PodWorker({
    backend,
    desired: new DesiredPods(store, () => {}),
    observations,
    sources: () => new FakePodSources(),
    sandboxes: sandboxRules({ backend, choice: () => undefined, runtimeClasses: { get: () => undefined } }),
    changed: () => {},
    settled: () => told.push('settled'),
    node: () => aNode({ name: 'burst-0' }),
    neighbours: () => neighbours,
    policy: [() => forbidden],
    budget: () => overBudget,
    preempt: (victim) => Promise.resolve(void told.push(`preempt ${victim.metadata?.name}`)),
    metered: () => ({ pool: 'burst', node: 'burst-0', priceBook: 'flat-demo' }),
    meter: meter(),
    reporter: new StatusReporter({ api, nodeIps: ['10.0.0.1'], clock }),
    recordEvent: (_pod, { reason }) => told.push(`event ${reason}`),
    clock,
    log: silentLog(),
  })
})
afterEach(async () => {
  watching.abort()
  await backend.close()
})

function put(change: Pod = {}): void {
  const pod = aPod({
    metadata: { uid, name: 'p', namespace: 'n' },
    spec: { nodeName: 'burst-0', restartPolicy: 'Always' },
  })
  const metadata = {
    ...pod.metadata,
    resourceVersion: String(Number(store.byUid(uid)?.metadata?.resourceVersion ?? 0) + 1),
    ...change.metadata,
  }
  store.put({ ...pod, ...change, metadata, status: store.byUid(uid)?.status ?? {} })
}

/** Passes of the worker with the simulated world moving on between them. */
async function pass(times = 1, stepMs = 1_000): Promise<void> {
  for (let done = 0; done < times; done += 1) {
    await worker.syncPod(uid, signal)
    await clock.advance(stepMs)
  }
}

const ofNode = { nodeName: 'burst-0', restartPolicy: 'Always', containers: [aContainer()] }
const deleting = { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 1 } }

describe('the straight line', () => {
  test('intent is durable before anything starts, and the bill before the status', async () => {
    put()
    await pass(4)
    expect(told[0]).toBe('intent')
    expect(told.indexOf('record running')).toBeGreaterThan(0)
    expect(told.indexOf('status Running')).toBeGreaterThan(told.indexOf('record running'))
    expect(told.filter((what) => what === 'status Running')).toHaveLength(1)
  })

  test('the end: stop, closed, last status, object, and only then the evidence', async () => {
    put()
    await pass(4)
    told.length = 0
    put(deleting)
    await pass(6)
    const order = ['stopping', 'record stopped', 'object deleted', 'settled']
    expect(
      told.filter((what) => order.includes(what)).filter((what, index, all) => all.indexOf(what) === index),
    ).toEqual(order)
    expect(await backend.list(signal)).toEqual([])
  })
})

test('a Pod waits for a port of the machine that another node gave out, and is told so once', async () => {
  const ports = [{ containerPort: 80, hostPort: 80 }]
  const spec = { containers: [aContainer({ ports })], nodeName: 'burst-0' }
  neighbours = [aPod({ name: 'other', spec: { ...spec, nodeName: 'burst-1' } })]
  put({ spec })
  expect(await worker.syncPod(uid, signal)).toEqual({ afterMs: 5_000 })
  await pass(2)
  expect(told).toEqual(['event NodePorts'])
  neighbours = []
  await pass(4)
  expect(told).toContain('status Running')
})

describe('while the ledger cannot be written', () => {
  test('nothing new starts, and it is said', async () => {
    ledgerWorks = false
    put()
    await expect(worker.syncPod(uid, signal)).rejects.toMatchObject({ code: 'LedgerUnavailable' })
    expect(told).toEqual(['event LedgerUnavailable'])
    expect(await backend.list(signal)).toEqual([])
  })

  test('nor while it is damaged, which people mend: the Pod waits, and starts then', async () => {
    ledgerWorks = false
    ledgerFailure = new SpillwayError('LedgerCorrupt', 'event 7 was changed')
    put()
    expect(await worker.syncPod(uid, signal)).toEqual({ afterMs: 5_000 })
    expect(told).toEqual(['event LedgerCorrupt'])
    expect(await backend.list(signal)).toEqual([])
    ledgerWorks = true
    await pass(4)
    expect(told).toContain('status Running')
  })

  test.each([
    new SpillwayError('LedgerUnavailable', 'the disk is full'),
    new SpillwayError('LedgerCorrupt', 'event 7 was changed'),
  ])(
    'what runs is stopped, reported and deleted all the same, but its evidence stays: $code',
    async (failure) => {
      put()
      await pass(4)
      ledgerWorks = false
      ledgerFailure = failure
      put(deleting)
      await pass(6)
      expect(told).toContain('object deleted')
      expect((await backend.list(signal)).map(({ phase }) => phase)).toEqual(['stopped'])
      ledgerWorks = true
      await pass(2)
      expect(await backend.list(signal)).toEqual([])
    },
  )
})

test('a critical Pod that finds no room waits until others have made it', async () => {
  const other = asPodUid('22222222-2222-4222-8222-222222222222')
  const asking = (cpu: string) => ({
    ...ofNode,
    containers: [aContainer({ resources: { requests: { cpu } } })],
  })
  const metadata = { uid: other, name: 'full', namespace: 'n', resourceVersion: '1' }
  store.put(aPod({ metadata, spec: asking('8') }))
  const passBoth = async (): Promise<void> => {
    await worker.syncPod(other, signal)
    await pass()
  }
  await worker.syncPod(other, signal)
  put({ spec: { ...asking('1'), priority: 2_000_000_000 } })
  await passBoth()
  expect(told.filter((what) => what === 'intent' || what === 'preempt full')).toEqual([
    'intent',
    'preempt full',
  ])

  const full = store.byUid(other)
  if (full) store.remove(full)
  for (let passes = 0; passes < 6; passes += 1) await passBoth()
  expect(told.filter((what) => what === 'intent')).toHaveLength(2)
  expect(world.get(other)).toBeUndefined()
})

test('a Pod that the backend rejects is Failed with the reason', async () => {
  put({ metadata: { annotations: { 'simulator.spillway.dev/fail-start': 'rejected' } } })
  await pass(2)
  expect(statuses.at(-1)).toMatchObject({ phase: 'Failed' })
})

test('a Pod that was deleted before it began is voided, not billed', async () => {
  put(deleting)
  await pass(2)
  expect(told).toContain('voided')
  expect(told).not.toContain('intent')
  expect(told).toContain('object deleted')
})

test('a Pod that is active for too long is stopped, and Failed when nothing of it runs', async () => {
  put({ spec: { ...ofNode, activeDeadlineSeconds: 30 } })
  await pass(4)
  expect((await worker.syncPod(uid, signal)).afterMs).toBeLessThanOrEqual(30_000)
  told.length = 0
  // Shortened on the way, as upstream's Job controller and people do.
  put({ metadata: { generation: 2 }, spec: { ...ofNode, activeDeadlineSeconds: 5 } })
  await pass(8)
  const order = ['event DeadlineExceeded', 'stopping', 'record stopped', 'status Failed']
  expect(told.filter((what) => order.includes(what) && what !== 'record stopped')).toEqual(
    order.filter((what) => what !== 'record stopped'),
  )
  expect(store.byUid(uid)?.status).toMatchObject({
    phase: 'Failed',
    reason: 'DeadlineExceeded',
    message: 'Pod was active on the node longer than the specified deadline',
  })
})

test('changed labels are handed over, once', async () => {
  put()
  await pass(4)

  put({ metadata: { labels: { tier: 'new' } } })
  await pass(2)
  expect(world.get(uid)?.pod.metadata?.labels).toEqual({ tier: 'new' })
})

describe('a budget without room', () => {
  const refused = {
    reason: 'OverBudget',
    message: 'Pod was rejected: the budget of pool burst: …',
    isUnknown: false,
  }
  const controlled = {
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'u', controller: true }],
  }

  test('fails a Pod that nobody replaces, with the reason', async () => {
    overBudget = refused
    put()
    await pass(2)
    expect(statuses.at(-1)).toMatchObject({ phase: 'Failed', reason: 'OverBudget' })
    expect(told).toContain('event OverBudget')
    expect(told).not.toContain('intent')
  })

  test('keeps one that a controller would replace at once waiting at the door, and lets it in when there is room', async () => {
    overBudget = refused
    put({ metadata: controlled })
    await pass(20)
    expect(statuses).toEqual([])
    expect(told.filter((what) => what === 'event OverBudget')).toHaveLength(1)
    overBudget = undefined
    await pass(5)
    expect(told).toContain('intent')
    expect(store.byUid(uid)?.status?.phase).toBe('Running')
  })

  test('fails nobody while what was spent is not known', async () => {
    overBudget = { ...refused, isUnknown: true }
    put()
    await pass(5)
    expect(statuses).toEqual([])
  })

  test('is no matter to a Pod that runs', async () => {
    put()
    await pass(5)
    expect(store.byUid(uid)?.status?.phase).toBe('Running')
    overBudget = refused
    const before = told.length
    await pass(60)
    expect(told.slice(before).filter((what) => what !== 'record running')).toEqual([])
    expect(store.byUid(uid)?.status?.phase).toBe('Running')
  })
})

describe('a rule of the pool', () => {
  const rule = { reason: 'SecurityProfile', message: 'spec.hostPID: not allowed in pool "burst"' }

  test('fails a Pod before anything is written of it or started', async () => {
    forbidden = rule
    put()
    await pass(5)
    const message = `Pod was rejected: ${rule.message}`
    expect(statuses.at(-1)).toMatchObject({ phase: 'Failed', reason: rule.reason, message })
    expect(told).toContain('event SecurityProfile')
    expect(told).not.toContain('intent')
  })

  test('is no matter to a Pod that runs when it comes', async () => {
    put()
    await pass(5)
    forbidden = rule
    await pass(60)
    expect(store.byUid(uid)?.status?.phase).toBe('Running')
    expect(told).not.toContain('event SecurityProfile')
  })
})

describe('what a Pod costs', () => {
  const annotations = () => store.byUid(uid)?.metadata?.annotations

  test('stands in its annotations, which ride on the statuses that are written anyway', async () => {
    put()
    await pass(10)
    expect(annotations()).toEqual({
      'spillway.dev/spec': '1 core, 2 GiB',
      'spillway.dev/price-per-hour': '0.03 USD',
    })
    const writes = told.filter((what) => what.startsWith('status'))
    expect(writes).toHaveLength(statuses.length)
    await pass(30)
    expect(told.filter((what) => what.startsWith('status'))).toEqual(writes)
  })

  test('and once it has ended all that it has cost, before the object goes', async () => {
    put()
    await pass(5)
    put({ metadata: { deletionTimestamp: '2026-01-01T00:00:05Z', deletionGracePeriodSeconds: 1 } })
    let last: Record<string, string> | undefined
    const end = store.subscribe(({ before, after }) => {
      if (!after) last = before?.metadata?.annotations
    })
    await pass(10)
    end()
    expect(told).toContain('object deleted')
    expect(last).toMatchObject({ 'spillway.dev/cost': '0.01 USD' })
  })

  test('is not told when the ledger cannot be read, and the status is all the same', async () => {
    put()
    await pass(1)
    ledgerWorks = false
    await pass(5)
    expect(store.byUid(uid)?.status?.phase).toBe('Running')
    ledgerWorks = true
    await pass(2)
    expect(annotations()).toHaveProperty(['spillway.dev/spec'])
  })
})
