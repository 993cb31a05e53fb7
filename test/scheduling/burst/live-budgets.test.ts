/** How soon a budget is acted upon that what runs uses up: the real ledger's word is played by arithmetic over a fake clock. */
import { describe, expect, test } from 'vitest'
import { compileSpendCaps } from '../../../src/config/spend-caps.ts'
import type { KubeApi } from '../../../src/kube/api.ts'
import type { EventNote } from '../../../src/kube/events.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { kubeTime } from '../../../src/model/clock.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { KubeObject, Namespace, Node, Pod } from '../../../src/model/kubernetes.ts'
import { LiveBudgets } from '../../../src/scheduling/burst/live-budgets.ts'
import { LiveBursts } from '../../../src/scheduling/burst/live-bursts.ts'
import { PoolBudgets } from '../../../src/scheduling/burst/pool-budgets.ts'
import { costOf, periodAt, type SpendRecord } from '../../../src/scheduling/burst/spend.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from '../../support/fake-clock.ts'
import { boundSample, virtualSample } from '../samples.ts'
import { dollars } from './samples.ts'

const rate = dollars(10n)
const second = 1000

interface House {
  readonly clock: FakeClock
  readonly budgets: LiveBudgets
  readonly words: PoolBudgets
  readonly pods: ObjectStore<Pod>
  readonly namespaces: ObjectStore<Namespace>
  readonly events: readonly (EventNote & { readonly atMs: number })[]
  readonly evicted: readonly { readonly name: string; readonly atMs: number }[]
  readonly reads: () => number
}

interface Setting {
  readonly budget?: { readonly perHour: string; readonly atCap?: 'Stop' }
  readonly annotations?: Record<string, string>
}

/** One Pod of $10 an hour runs since the hour began, 0 s ago. */
async function living(
  { budget, annotations = {} }: Setting,
  run: (house: House) => Promise<void>,
): Promise<void> {
  const clock = new FakeClock()
  const log = silentLog()
  const store = <T extends KubeObject>(objects: readonly T[]): ObjectStore<T> => {
    const made = new ObjectStore<T>({ log })
    made.replaceAll(objects)
    return made
  }
  const pods = store<Pod>([podSince('first', fakeEpochMs)])
  const nodes = store<Node>([virtualSample()])
  const namespaces = store<Namespace>([{ metadata: { name: 'shop', uid: 'uid-shop', annotations } }])
  const api: Pick<KubeApi, 'list' | 'watch' | 'getText'> = {
    getText: () => Promise.reject(new SpillwayError('NotFound', 'no policies here')),
    list: () => Promise.reject(new Error('nobody asks')),
    watch: () => {
      throw new Error('nobody asks')
    },
  }
  let reads = 0
  const caps = budget && compileSpendCaps({ currency: 'USD', ...budget })
  const bursts = new LiveBursts({
    api,
    readSpend: async () => {
      reads += 1
      return { atMs: clock.wallMs(), records: pods.list().map((pod) => billed(pod, clock.wallMs())) }
    },
    hasBudgets: () => true,
    pods,
    isOut: () => true,
    clock,
    backoff: () => second,
    log,
  })
  const events: (EventNote & { atMs: number })[] = []
  const evicted: { name: string; atMs: number }[] = []
  const budgets = new LiveBudgets({
    bursts,
    pods,
    nodes,
    namespaces,
    pools: () => [{ name: 'burst', budget: caps, rate: () => rate }],
    poolObject: (name) => ({ apiVersion: 'v1', kind: 'VirtualNodePool', name, uid: 'uid-of-pool' }),
    evict: async (victims) => {
      for (const { metadata } of victims) evicted.push({ name: metadata?.name ?? '', atMs: clock.wallMs() })
      return []
    },
    events: { record: (note) => void events.push({ ...note, atMs: clock.wallMs() }) },
    clock,
    random: () => 0.5,
    log,
  })
  const words = new PoolBudgets({ budgets, clock })
  const ending = new AbortController()
  const running = [bursts.run(ending.signal), budgets.run(ending.signal)]
  await clock.advance(1)
  await run({ clock, budgets, words, pods, namespaces, events, evicted, reads: () => reads })
  ending.abort()
  await Promise.all(running)
}

function podSince(name: string, boundMs: number): Pod {
  const condition = { type: 'PodScheduled', status: 'True', lastTransitionTime: kubeTime(boundMs) }
  return boundSample('burst-0', { name, status: { startTime: kubeTime(boundMs), conditions: [condition] } })
}

function billed({ metadata, status }: Pod, nowMs: number): SpendRecord {
  const fromMs = Date.parse(status?.startTime ?? '')
  const since = (period: 'hour' | 'day' | 'month'): bigint =>
    costOf(rate, { fromMs: Math.max(fromMs, periodAt(period, nowMs).fromMs), toMs: nowMs })
  const spent = { hour: since('hour'), day: since('day'), month: since('month') }
  const open = { uid: metadata?.uid ?? '', rate }
  return { namespace: 'shop', labels: {}, pool: 'burst', currency: 'USD', spent, open }
}

async function seconds(clock: FakeClock, many: number): Promise<void> {
  for (let at = 0; at < many * 10; at += 1) await clock.advance(100)
}

describe('a cap that running Pods reach by themselves', () => {
  // $10 an hour: $0.10 is spent after 36 s, four fifths of it after 28.8 s.
  const spentMs = fakeEpochMs + 36 * second
  const warnedMs = fakeEpochMs + 28_800

  test('is told, and acted upon, within a second, and its warning before it', async () => {
    await living({ budget: { perHour: '0.1', atCap: 'Stop' } }, async ({ clock, events, evicted, words }) => {
      await seconds(clock, 45)
      const at = (reason: string) => events.find((event) => event.reason === reason)?.atMs ?? 0
      expect(at('NearCap') - warnedMs).toBeGreaterThanOrEqual(0)
      expect(at('NearCap') - warnedMs).toBeLessThanOrEqual(second)
      expect(at('CapSpent') - spentMs).toBeGreaterThanOrEqual(0)
      expect(at('CapSpent') - spentMs).toBeLessThanOrEqual(second)
      expect((evicted[0]?.atMs ?? 0) - spentMs).toBeLessThanOrEqual(second)
      expect(evicted[0]?.name).toBe('first')
      expect(words.ofNodes('burst')).toMatchObject({ status: 'False', reason: 'CapSpent' })
    })
  })

  test('also by some that have started since the ledger was read', async () => {
    // Three more were bound after 29 s, and are heard of after 31 s: then $0.1 are gone by all four, and no reading of the
    // ledger is due for almost 3 s.
    await living({ budget: { perHour: '0.1' } }, async ({ clock, events, evicted, pods, reads }) => {
      await seconds(clock, 31)
      for (const name of ['second', 'third', 'fourth']) pods.put(podSince(name, fakeEpochMs + 29 * second))
      await seconds(clock, 5)
      const told = events.find(({ reason }) => reason === 'CapSpent')?.atMs ?? 0
      const heardMs = fakeEpochMs + 31 * second
      expect(told).toBeGreaterThanOrEqual(heardMs)
      expect(told - heardMs).toBeLessThanOrEqual(second)
      expect(evicted).toEqual([])
      // No more than every half second even then.
      expect(reads()).toBeLessThanOrEqual(20)
    })
  })

  test('is told once in each period', async () => {
    await living({ budget: { perHour: '0.1' } }, async ({ clock, events, words, pods }) => {
      await seconds(clock, 120)
      const told = () => events.map(({ reason }) => reason)
      expect(told().filter((reason) => reason === 'NearCap')).toHaveLength(1)
      expect(told().filter((reason) => reason === 'CapSpent')).toHaveLength(1)
      pods.replaceAll([])
      await clock.advance(3_600_000 - 120 * second)
      await seconds(clock, 2)
      expect(words.ofNodes('burst')).toMatchObject({ status: 'True', reason: 'WithinBudget' })
      pods.replaceAll([podSince('next', clock.wallMs())])
      await seconds(clock, 60)
      expect(told().filter((reason) => reason === 'CapSpent')).toHaveLength(2)
    })
  })
})

describe('what is told of a budget', () => {
  test('a pool says what has been spent and where it leads', async () => {
    await living({ budget: { perHour: '100' } }, async ({ clock, words, budgets }) => {
      await seconds(clock, 6)
      expect(words.ofNodes('burst')).toEqual({
        status: 'True',
        reason: 'WithinBudget',
        message:
          'there is room for more; what runs costs $10.00 an hour: it comes to $10.00 of $100.00 by the end of the hour (2026-01-01 01:00:00Z)',
      })
      expect(words.ofPool('burst')?.figures).toMatchObject({ currency: 'USD', hour: { cap: '100' } })
      const [hour] = budgets.reports[0]?.periods ?? []
      // What has been billed is rounded up once.
      expect([10_000_000_000n, 10_000_000_001n]).toContain(hour?.forecast)
    })
  })

  test('and when the cap is spent if it goes on so', async () => {
    await living({ budget: { perHour: '5' } }, async ({ clock, budgets }) => {
      await seconds(clock, 6)
      expect(budgets.reports[0]?.outlook).toBe(
        'what runs costs $10.00 an hour: the cap is spent at 2026-01-01 00:30:00Z, and it comes to $10.00 of $5.00 by the end of the hour (2026-01-01 01:00:00Z)',
      )
    })
  })

  test('a namespace has events; one that cannot be read is named, and nothing starts under it', async () => {
    const annotations = { 'spillway.dev/budget-per-hour': '0.1 USD' }
    await living({ annotations }, async ({ clock, events, namespaces, budgets }) => {
      await seconds(clock, 40)
      const spent = events.find(({ reason }) => reason === 'CapSpent')
      expect(spent?.object).toEqual({ apiVersion: 'v1', kind: 'Namespace', name: 'shop', uid: 'uid-shop' })
      expect(spent?.message).toMatch(
        /^the budget of namespace shop: \$0.1000 of \$0.1000 per hour are spent;/,
      )
      const odd = { 'spillway.dev/budget-per-hour': 'ten' }
      namespaces.put({
        metadata: { name: 'shop', uid: 'uid-shop', resourceVersion: '2', annotations: odd },
      })
      await seconds(clock, 1)
      expect(budgets.reports[0]?.reason).toBe('Unreadable')
      expect(events.at(-1)?.message).toContain('spillway.dev/budget-per-hour: found "ten"; allowed:')
    })
  })
})
