import { describe, expect, test } from 'vitest'
import type { KubeApi, Patch } from '../../../src/kube/api.ts'
import type { EventNote } from '../../../src/kube/events.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { SpillwayError, type ErrorCode } from '../../../src/model/errors.ts'
import type { KubeObject, Namespace, Node, Pod } from '../../../src/model/kubernetes.ts'
import type { BurstFacts } from '../../../src/scheduling/burst/burst-picture.ts'
import type { BurstPolicyObject } from '../../../src/scheduling/burst/burst-policy-object.ts'
import { keepPolicies } from '../../../src/scheduling/burst/keep-policies.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { boundSample, virtualSample } from '../samples.ts'
import { dollars, policySample } from './samples.ts'

const stop = policySample('stop', { spec: { spend: { currency: 'USD', perHour: '1', atCap: 'Stop' } } })
const goesOn = policySample('on', { spec: { spend: { currency: 'USD', perHour: '1' } } })

interface Seen {
  readonly writes: unknown[]
  readonly events: EventNote[]
  readonly evicted: string[]
}

/** Runs it for a while over two Pods on a virtual node, with so many dollars spent. */
async function kept(
  policy: typeof stop,
  {
    spent,
    refuses,
    blocked = [],
    durationMs = 2000,
  }: { spent: bigint; refuses?: ErrorCode; blocked?: readonly string[]; durationMs?: number },
): Promise<Seen> {
  const clock = new FakeClock()
  const log = silentLog()
  const seen: Seen = { writes: [], events: [], evicted: [] }
  const store = <T extends KubeObject>(objects: readonly T[]): ObjectStore<T> => {
    const made = new ObjectStore<T>({ log })
    made.replaceAll(objects)
    return made
  }
  const nanos = spent * 1_000_000_000n
  const record = {
    namespace: 'shop',
    labels: {},
    pool: 'burst',
    currency: 'USD',
    spent: { hour: nanos, day: nanos, month: nanos },
  }
  const facts: BurstFacts = {
    policies: [policy],
    spend: { atMs: clock.wallMs(), records: [record] },
    gone: [],
  }
  let object: BurstPolicyObject = { metadata: { name: policy.name, namespace: 'shop', uid: policy.uid } }
  const api: Pick<KubeApi, 'patch'> = {
    patch: async <T extends KubeObject>(_resource: unknown, _name: unknown, patch: Patch) => {
      if (refuses) throw new SpillwayError(refuses, 'refused')
      const { status } = patch.body as { status: BurstPolicyObject['status'] & object }
      seen.writes.push(status)
      object = { ...object, status }
      return object as T
    },
  }
  const ending = new AbortController()
  const running = keepPolicies(
    {
      api,
      bursts: { facts: () => facts, subscribe: () => () => undefined, held: [], objectOf: () => object },
      pods: store<Pod>([boundSample('burst-0', { name: 'a' }), boundSample('burst-0', { name: 'b' })]),
      nodes: store<Node>([virtualSample()]),
      namespaces: store<Namespace>([]),
      pools: () => [{ name: 'burst', rate: () => dollars(0n) }],
      evict: async (pods) => {
        seen.evicted.push(...pods.map(({ metadata }) => metadata?.name ?? ''))
        return blocked
      },
      events: { record: (note) => void seen.events.push(note) },
      clock,
      random: () => 0.5,
      log,
    },
    ending.signal,
  )
  await clock.advance(durationMs)
  ending.abort()
  await running
  return seen
}

describe('a policy whose cap is spent', () => {
  test('ends what runs when it says Stop, and tells Pods and people', async () => {
    const { evicted, events } = await kept(stop, { spent: 1n })
    expect(evicted).toEqual(['a', 'b'])
    expect(events.map(({ object, reason }) => `${object.kind} ${object.name}: ${reason}`)).toEqual([
      'BurstPolicy stop: CapSpent',
      'Pod a: SpendCapReached',
      'Pod b: SpendCapReached',
    ])
  })

  test('asks again for what a PodDisruptionBudget holds back, and says so', async () => {
    const { evicted, events } = await kept(stop, {
      spent: 1n,
      blocked: ['Pod shop/b: not now'],
      durationMs: 7000,
    })
    expect(evicted).toEqual(['a', 'b', 'a', 'b'])
    expect(events.find(({ reason }) => reason === 'StopBlocked')?.message).toBe(
      '1 of 2 Pods cannot be evicted now: Pod shop/b: not now',
    )
  })

  test('ends nothing when it does not, and nothing before', async () => {
    expect((await kept(goesOn, { spent: 5n })).evicted).toEqual([])
    expect((await kept(stop, { spent: 0n })).evicted).toEqual([])
  })
})

test('the status is written once, and again for money after half a minute', async () => {
  const { writes, events } = await kept(goesOn, { spent: 0n, durationMs: 20_000 })
  expect(writes).toHaveLength(1)
  expect(writes[0]).toMatchObject({ pods: 2, virtualPods: 2, workloads: 2, heldPods: 0 })
  expect(events).toEqual([])
  expect((await kept(goesOn, { spent: 0n, durationMs: 40_000 })).writes).toHaveLength(2)
})

test.each(['NotFound', 'Conflict', 'Forbidden', 'Unavailable'] as const)(
  'a status that cannot be written (%s) keeps nothing running that is to end',
  async (refuses) => {
    const { writes, evicted } = await kept(stop, { spent: 1n, refuses })
    expect(writes).toEqual([])
    expect(evicted).toEqual(['a', 'b'])
  },
)
