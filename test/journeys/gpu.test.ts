/** Pods that ask for cards: on a server that has one, out to virtual nodes that have some, and on the bill. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Bill } from '../../src/billing/invoice.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { startSmallHouse, type SmallHouse } from '../support/small-house.ts'
import { until } from '../support/until.ts'

const namespace = 'training'
const gpu = 'nvidia.com/gpu'
let house: SmallHouse

beforeAll(async () => {
  house = await startSmallHouse({
    servers: [{ name: 'server-0', cpu: '4', extended: { [gpu]: '1' } }],
    // The first that overflow asks has no cards.
    pools: [
      { name: 'plain', priceBook: 'flat-demo' },
      { name: 'cards', backend: 'racks', priceBook: 'flat-demo' },
    ],
    config: {
      backends: [
        { name: 'local', kind: 'simulator' },
        { name: 'racks', kind: 'simulator', options: { extended: { [gpu]: 4 } } },
      ],
    },
  })
  await createNamespace(house.api, { name: namespace }, house.signal)
})

afterAll(() => house?.[Symbol.asyncDispose]())

test('a virtual node offers the cards of its backend, and none where there are none', async () => {
  const { api, signal } = house
  const offered = async (name: string): Promise<unknown> =>
    (await api.get(nodes, { name }, signal)).status?.allocatable?.[gpu]
  expect(await offered('cards-0')).toBe('4')
  expect(await offered('plain-0')).toBeUndefined()
})

test('a Pod takes the server’s card; the next one goes out to where cards are, and not to the pool without', async () => {
  await create(asking('at-home', '1', { runsMs: 600_000 }))
  expect(await nodeOf('at-home')).toBe('server-0')
  const { outcome, pool } = await house.explain({ pod: asking('away', '1', {}) })
  expect([outcome, pool]).toEqual(['virtual', 'cards'])
  await create(asking('away', '1', { runsMs: 1000 }))
  expect(await nodeOf('away')).toBe('cards-0')
  await ended('away')
})

test('cards are billed by their time, as processors and memory are', async () => {
  await create(asking('two', '2', { runsMs: 2500 }))
  expect(await nodeOf('two')).toBe('cards-0')
  await ended('two')
  const told = await billOf('two')
  const seconds = Number(told.pod.seconds)
  expect(seconds).toBeGreaterThanOrEqual(2.5)
  expect(told.pod.spec).toBe('1 core, 1 GiB, 2 × GPU')
  expect(Number(told.row.gpuSeconds)).toBeCloseTo(2 * seconds, 9)
  // flat-demo: 0.04 a core-hour, 0.005 a GiB-hour, 2 a GPU-hour; three lines an hour, each rounded to 1e-9.
  expect(Number(told.row.amount)).toBeCloseTo((seconds * (0.04 + 0.005 + 2 * 2)) / 3600, 7)
  expect(told.row.unpriced).toEqual([])
  const [line] = told.pod.lines.filter(({ resource }) => resource === 'gpu')
  expect(line).toMatchObject({ sku: 'demo-gpu', formula: expect.stringContaining('2 GPU × ') })
})

describe('a Pod that asks for more cards than any node has', () => {
  test('stays Pending, and is told which resource is short', async () => {
    await create(asking('greedy', '5', {}))
    await until('the scheduler has refused it', async () => isRefused(await get('greedy')), house.signal)
    const view = await house.explain({ namespace, name: 'greedy' })
    expect(view.outcome).toBe('waits')
    expect(view.because).toBe(
      'no server has room (1 lacks nvidia.com/gpu), and no virtual node takes it ' +
        '(pool plain: 1 lacks nvidia.com/gpu; pool cards: 1 lacks nvidia.com/gpu)',
    )
    expect((await get('greedy')).spec?.nodeName).toBeUndefined()
  })
})

test('cards that are taken are not there, until they are given back', async () => {
  await create(asking('all-four', '4', { runsMs: 600_000 }))
  expect(await nodeOf('all-four')).toBe('cards-0')
  await create(asking('waits', '1', { runsMs: 1000 }))
  await until('the scheduler has refused it', async () => isRefused(await get('waits')), house.signal)
  const view = await house.explain({ namespace, name: 'waits' })
  expect(view.outcome).not.toBe('virtual')
  expect((await get('waits')).spec?.nodeName).toBeUndefined()
  await house.api.delete(pods, { namespace, name: 'all-four' }, {}, house.signal)
  expect(await nodeOf('waits')).toBe('cards-0')
})

function asking(name: string, cards: string, { runsMs = 1000 }: { readonly runsMs?: number }): Pod {
  const resources = { requests: { cpu: '1', memory: '1Gi' }, limits: { [gpu]: cards } }
  return {
    metadata: { namespace, name, annotations: { 'simulator.spillway.dev/run-ms': String(runsMs) } },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: 'train:1', resources }],
    },
  }
}

async function create(pod: Pod): Promise<void> {
  await house.api.create(pods, pod, house.signal)
}

function get(name: string): Promise<Pod> {
  return house.api.get(pods, { namespace, name }, house.signal)
}

function isRefused({ status }: Pod): boolean {
  return status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false
}

async function nodeOf(name: string): Promise<string> {
  let node: string | undefined
  await until(
    `${name} has a node`,
    async () => {
      node = (await get(name)).spec?.nodeName
      return node !== undefined
    },
    house.signal,
  )
  return node ?? ''
}

async function ended(name: string): Promise<void> {
  await until(`${name} has ended`, async () => (await get(name)).status?.phase === 'Succeeded', house.signal)
}

async function billOf(name: string) {
  const nowMs = systemClock.wallMs()
  const query = { fromMs: String(nowMs - 3_600_000), toMs: String(nowMs + 1000), by: 'pod' }
  const bill = (await house.ask('/v1/bill', query)) as Bill
  const row = bill.rows.find(({ pod }) => pod === name)
  const pod = bill.pods?.find((one) => one.pod === name)
  if (!row || !pod) throw new Error(`the bill does not have ${name}`)
  return { row, pod }
}
