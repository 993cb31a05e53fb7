import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileSpendCaps } from '../../../src/config/spend-caps.ts'
import type { Pod } from '../../../src/model/kubernetes.ts'
import { kubeTime } from '../../../src/model/clock.ts'
import {
  burstPictureOf,
  withBurstPod,
  type BurstPicture,
} from '../../../src/scheduling/burst/burst-picture.ts'
import { budgetRefusal, doorRefusal } from '../../../src/scheduling/burst/budget-rules.ts'
import {
  costOf,
  periodAt,
  type Rate,
  type SpendRecord,
  type SpendSnapshot,
} from '../../../src/scheduling/burst/spend.ts'
import { poolToleration } from '../../../src/scheduling/decide-overflow.ts'
import { boundSample, podSample, serverSample, virtualSample } from '../samples.ts'
import { dollars, policySample } from './samples.ts'

const nowMs = Date.parse('2026-03-10T10:30:00Z')
const nodes = [serverSample(), virtualSample()]
const pool = { name: 'burst', rate: () => dollars(2n) }
const capped = policySample('capped', { spec: { spend: { currency: 'USD', perHour: '10' } } })

function pictureOf(pods: readonly Pod[], spend: SpendSnapshot | undefined = { atMs: nowMs, records: [] }) {
  const objects = { pods, nodes, namespaces: new Map(), pools: [pool], nowMs }
  return burstPictureOf({ policies: [capped], spend, gone: [] }, objects)
}

function owned(name: string, more: Partial<Parameters<typeof podSample>[0]> = {}): Pod {
  return podSample({ name, owner: 'StatefulSet', ...more })
}

const tolerated = { tolerations: [poolToleration('burst')] }

describe('the Pods of a workload', () => {
  const count = (...pods: Pod[]) => pictureOf(pods).counts.get('shop/StatefulSet/it')

  test('count where they are, and as virtual as soon as they may go there', () => {
    const running = { phase: 'Running', conditions: [] }
    expect(
      count(
        owned('a', { spec: { nodeName: 'burst-0' }, status: running }),
        owned('b', { spec: tolerated }),
        owned('c', { spec: { nodeName: 'server-0', ...tolerated }, status: running }),
        owned('d'),
        owned('e', { spec: { nodeName: 'burst-0' }, status: { phase: 'Succeeded' } }),
      ),
    ).toEqual({ virtual: 2, server: 1 })
  })

  test('on their way out hold their place on a virtual node, and none on a server', () => {
    const leaving = (nodeName: string): Pod => {
      const pod = owned('a', { spec: { nodeName }, status: { phase: 'Running' } })
      return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-03-10T10:00:00Z' } }
    }
    expect(count(leaving('burst-0'))).toEqual({ virtual: 1, server: 0 })
    expect(count(leaving('server-0'))).toBeUndefined()
  })

  test('hold their place too while the Node object is gone for a moment', () => {
    const lost = owned('a', { spec: { nodeName: 'burst-7', ...tolerated }, status: { phase: 'Running' } })
    expect(count(lost)).toEqual({ virtual: 1, server: 0 })
  })
})

describe('an account', () => {
  const billed: SpendRecord = {
    namespace: 'shop',
    labels: {},
    pool: 'burst',
    currency: 'USD',
    spent: { hour: 7n, day: 8n, month: 9n },
    open: { uid: 'uid-of-a', rate: dollars(4n) },
  }
  const hourOf = (picture: BurstPicture) => picture.accounts.get(capped.uid)?.commitment

  test('has what is billed once, and the rest of the hour of what is not yet', () => {
    const pods = [
      boundSample('burst-0', { name: 'a' }),
      boundSample('burst-0', { name: 'b' }),
      podSample({ name: 'c', spec: tolerated }),
    ]
    const records = [{ ...billed, open: { uid: 'uid-a', rate: dollars(4n) } }]
    expect(hourOf(pictureOf(pods, { atMs: nowMs, records }))).toMatchObject({
      spent: { hour: 7n },
      // 4 $ of a, half of 2 $ each of b and c: for half an hour.
      reserved: { hour: 2_000_000_000n + 2n * 1_000_000_000n },
    })
  })

  test('leaves out other namespaces, other currencies and Pods that the policy does not select', () => {
    const records = [
      { ...billed, namespace: 'yard' },
      { ...billed, currency: 'EUR' },
    ]
    expect(hourOf(pictureOf([], { atMs: nowMs, records }))).toMatchObject({
      spent: { hour: 0n },
      reserved: { hour: 0n },
    })
  })

  test('has what ended since the ledger was read', () => {
    const pod = boundSample('burst-0', {
      name: 'a',
      status: {
        conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-03-10T10:15:00Z' }],
      },
    })
    const objects = { pods: [], nodes, namespaces: new Map(), pools: [pool], nowMs }
    const facts = { policies: [capped], spend: { atMs: nowMs - 5000, records: [] } }
    expect(hourOf(burstPictureOf({ ...facts, gone: [] }, objects))?.reserved.hour).toBe(0n)
    // 2 $ an hour, from when it was bound until the hour ends: nobody knows how long it ran.
    expect(hourOf(burstPictureOf({ ...facts, gone: [pod] }, objects))?.reserved.hour).toBe(1_500_000_000n)
  })

  test('takes a Pod’s own reservation for granted when that Pod is asked about again', () => {
    const rate = (perHour: bigint) => ({ name: 'burst', rate: () => dollars(perHour) })
    const pod = podSample({ name: 'c', spec: tolerated })
    const picture = pictureOf([pod])
    const asked = { pod, home: undefined, bursts: picture, nowMs }
    expect(budgetRefusal(rate(20n), asked)).toBeUndefined()
    const refused = budgetRefusal(rate(21n), asked)
    expect(refused?.evidence).toBe(
      'BurstPolicy shop/capped: until the end of the hour it costs up to $10.50, and of $10.00 per hour $0.00 are spent and $0.00 reserved',
    )
  })

  test('refuses what it cannot reckon: money not known yet, no price, another currency', () => {
    const pod = podSample()
    const why = (picture: BurstPicture, rate: Rate | undefined) =>
      budgetRefusal({ name: 'burst', rate: () => rate }, { pod, home: undefined, bursts: picture, nowMs })
        ?.evidence
    const known = pictureOf([])
    expect(why({ ...known, spend: undefined }, dollars(1n))).toContain(
      'what was spent so far is not known yet',
    )
    expect(why(known, undefined)).toContain('has no price for the Pod')
    expect(why(known, { ...dollars(1n), currency: 'CNY' })).toContain(
      'its cap is in USD, and pool burst has prices in CNY',
    )
    expect(why(known, dollars(1n))).toBeUndefined()
  })
})

/** An hour, a day and a month that end together, so that all three caps are at stake. */
const beginMs = Date.parse('2026-03-31T20:00:00Z')
const minuteMs = 60_000

interface Life {
  readonly namespace: string
  readonly pool: string
  /** It tolerates virtual nodes by itself, and finds the door of one. */
  readonly byHand: boolean
  readonly perHour: bigint
  readonly deadlineSeconds: number | undefined
  readonly startsAfterMinutes: number
  readonly lastsMinutes: number
}

interface Out extends Life {
  readonly uid: string
  readonly sentMs: number
}

const lives = fc.record({
  // Most count for what is capped.
  namespace: fc.constantFrom('shop', 'shop', 'shop', 'yard'),
  pool: fc.constantFrom('burst', 'burst', 'burst', 'night'),
  byHand: fc.boolean(),
  perHour: fc.bigInt({ min: 1n, max: 40n }),
  deadlineSeconds: fc.option(fc.integer({ min: 60, max: 7200 }), { nil: undefined }),
  startsAfterMinutes: fc.integer({ min: 0, max: 20 }),
  lastsMinutes: fc.integer({ min: 1, max: 300 }),
})

function runOf({ sentMs, startsAfterMinutes, lastsMinutes, deadlineSeconds }: Out): {
  fromMs: number
  toMs: number
} {
  const fromMs = sentMs + startsAfterMinutes * minuteMs
  const longest = deadlineSeconds === undefined ? Infinity : (deadlineSeconds + 30) * 1000
  return { fromMs, toMs: fromMs + Math.min(lastsMinutes * minuteMs, longest) }
}

/** A book that rounds each hour's line up to whole dollars: the worst that rounding can do. */
const dollar = 1_000_000_000n
function billOf(out: Out, fromMs: number, toMs: number): bigint {
  const run = runOf(out)
  let sum = 0n
  for (let hour = Math.floor(run.fromMs / 3_600_000) * 3_600_000; hour < run.toMs; hour += 3_600_000) {
    const [from, to] = [Math.max(run.fromMs, hour), Math.min(run.toMs, hour + 3_600_000)]
    const seen = { fromMs: Math.max(from, fromMs), toMs: Math.min(to, toMs) }
    if (hour < fromMs || hour >= toMs || seen.toMs <= seen.fromMs) continue
    const exact = costOf(dollars(out.perHour), seen)
    sum += ((exact + dollar - 1n) / dollar) * dollar
  }
  return sum
}

type Owner = 'policy' | 'pool' | 'namespace'

const boundCaps = { hour: 50n, day: 90n, month: 120n }
const spend = { currency: 'USD', perHour: '50', perDay: '90', perMonth: '120' }
/** Namespace shop is held to the caps; pool burst is; or whoever the policy selects, which is namespace shop. */
const bound = {
  policy: policySample('bound', { spec: { spend } }),
  pool: compileSpendCaps(spend),
  namespace: {
    metadata: {
      name: 'shop',
      annotations: {
        'spillway.dev/budget-per-hour': '50 USD',
        'spillway.dev/budget-per-day': '90 USD',
        'spillway.dev/budget-per-month': '120 USD',
      },
    },
  },
}

test.each<Owner>(['policy', 'pool', 'namespace'])(
  'what a %s lets start in a period never takes it over its cap, however Pods come, start, end and are billed',
  (owner) => {
    let letOut = 0
    let refusals = 0
    let elsewhere = 0
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 45 }), lives), { minLength: 5, maxLength: 25 }),
        fc.integer({ min: 1, max: 15 }),
        (arrivals, lagMinutes) => {
          const outs: Out[] = []
          let at = beginMs
          for (const [index, [afterMinutes, life]] of arrivals.entries()) {
            at += afterMinutes * minuteMs
            const rate: Rate = { ...dollars(life.perHour), roundingNanos: dollar }
            // The ledger was last read some time ago.
            const readMs = Math.max(beginMs, at - (index % lagMinutes) * minuteMs)
            const picture = pictureAt(outs, owner, { at, readMs })
            const pod = podSample({
              name: `p${index}`,
              namespace: life.namespace,
              ...(life.deadlineSeconds !== undefined && {
                spec: { activeDeadlineSeconds: life.deadlineSeconds },
              }),
            })
            const home = life.namespace === 'shop' && owner === 'namespace' ? bound.namespace : undefined
            const asked = { pod, home, bursts: picture, nowMs: at }
            // Who comes by hand finds the same at the door, but for policies.
            const ask = life.byHand && owner !== 'policy' ? doorRefusal : budgetRefusal
            if (ask({ name: life.pool, rate: () => rate }, asked)) refusals += 1
            else {
              letOut += 1
              if (!countsFor(owner, life)) elsewhere += 1
              outs.push({ ...life, uid: `uid-p${index}`, sentMs: at })
            }
          }
          expectWithinCaps(
            outs.filter((out) => countsFor(owner, out)),
            at,
          )
        },
      ),
      { numRuns: 300, seed: 20261129 },
    )
    expect(Math.min(letOut, refusals, elsewhere)).toBeGreaterThan(500)
  },
)

function countsFor(owner: Owner, { namespace, pool: name }: Life): boolean {
  return owner === 'pool' ? name === 'burst' : namespace === 'shop'
}

function expectWithinCaps(outs: readonly Out[], lastMs: number): void {
  for (const period of ['hour', 'day', 'month'] as const) {
    for (let now = beginMs; now < lastMs + 6 * 3_600_000; now = periodAt(period, now).toMs) {
      const { fromMs, toMs } = periodAt(period, now)
      const cost = (some: readonly Out[]): bigint =>
        some.reduce((sum, out) => sum + billOf(out, fromMs, toMs), 0n)
      const carried = cost(outs.filter(({ sentMs }) => sentMs < fromMs))
      const cap = boundCaps[period] * 1_000_000_000n
      expect(cost(outs)).toBeLessThanOrEqual(cap > carried ? cap : carried)
    }
  }
}

/** What the controller sees: a ledger that it has read some time ago, and the Pods as they are now. */
function pictureAt(
  outs: readonly Out[],
  owner: Owner,
  { at, readMs }: { readonly at: number; readonly readMs: number },
): BurstPicture {
  const records: SpendRecord[] = outs.flatMap((out) => {
    const run = runOf(out)
    if (run.fromMs > readMs) return []
    const since = (period: 'hour' | 'day' | 'month'): bigint =>
      billOf(out, periodAt(period, readMs).fromMs, readMs)
    const spent = { hour: since('hour'), day: since('day'), month: since('month') }
    const rate: Rate = { ...dollars(out.perHour), roundingNanos: dollar }
    const named = { namespace: out.namespace, labels: {}, pool: out.pool, currency: 'USD', spent }
    return [run.toMs <= readMs ? named : { ...named, open: { uid: out.uid, rate } }]
  })
  const gone: Pod[] = []
  const pods = outs.flatMap((out): Pod[] => {
    const run = runOf(out)
    if (run.toMs <= readMs) return []
    const common = { name: out.uid.slice(4), namespace: out.namespace }
    const spec = {
      tolerations: [poolToleration(out.pool)],
      ...(out.deadlineSeconds !== undefined && { activeDeadlineSeconds: out.deadlineSeconds }),
    }
    if (run.fromMs > at) return [podSample({ ...common, spec })]
    const isBound = { type: 'PodScheduled', status: 'True', lastTransitionTime: kubeTime(run.fromMs) }
    const status = { startTime: kubeTime(run.fromMs), conditions: [isBound] }
    const pod = boundSample(`${out.pool}-0`, { ...common, spec, status })
    if (run.toMs > at) return [pod]
    gone.push(pod)
    return []
  })
  const rate = (pod: Pod): Rate => {
    const out = outs.find(({ uid }) => uid === pod.metadata?.uid)
    return { ...dollars(out?.perHour ?? 0n), roundingNanos: dollar }
  }
  const pools = [
    { name: 'burst', rate, ...(owner === 'pool' && { budget: bound.pool }) },
    { name: 'night', rate },
  ]
  const namespaces = new Map(owner === 'namespace' ? [['shop', bound.namespace]] : [])
  const policies = owner === 'policy' ? [bound.policy] : []
  const everything = { pods, nodes: [...nodes, virtualSample('night')], namespaces, pools, nowMs: at }
  return burstPictureOf({ policies, spend: { atMs: readMs, records }, gone }, everything)
}

test('a Pod that is let out is counted and reserved for at once, for the next of the same round', () => {
  const before = pictureOf([])
  const pod = owned('a')
  const after = withBurstPod(before, pod, { pool: 'burst', rate: dollars(2n), home: undefined, nowMs })
  expect(after.counts.get('shop/StatefulSet/it')).toEqual({ virtual: 1, server: 0 })
  expect(after.accounts.get(capped.uid)?.commitment.reserved.hour).toBe(1_000_000_000n)
  // Let onto a second pool it is still one Pod.
  const again = withBurstPod(after, owned('a', { spec: tolerated }), {
    pool: 'burst',
    rate: dollars(4n),
    home: undefined,
    nowMs,
  })
  expect(again.counts.get('shop/StatefulSet/it')).toEqual({ virtual: 1, server: 0 })
  expect(again.accounts.get(capped.uid)?.commitment.reserved.hour).toBe(2_000_000_000n)
})
