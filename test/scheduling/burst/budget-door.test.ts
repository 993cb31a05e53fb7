import { describe, expect, test } from 'vitest'
import { compileSpendCaps } from '../../../src/config/spend-caps.ts'
import { ObjectStore } from '../../../src/kube/store.ts'
import { kubeTime } from '../../../src/model/clock.ts'
import type { Namespace, Node, Pod } from '../../../src/model/kubernetes.ts'
import { BudgetDoor } from '../../../src/scheduling/burst/budget-door.ts'
import type { SpendRecord, SpendSnapshot } from '../../../src/scheduling/burst/spend.ts'
import { poolToleration } from '../../../src/scheduling/decide-overflow.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { boundSample, podSample, virtualSample } from '../samples.ts'
import { dollars, policySample } from './samples.ts'

/** Each Pod costs $1 an hour; the hour has just begun. */
function house(perHour = '3') {
  const log = silentLog()
  const clock = new FakeClock()
  const pods = new ObjectStore<Pod>({ log })
  const nodes = new ObjectStore<Node>({ log })
  const namespaces = new ObjectStore<Namespace>({ log })
  pods.replaceAll([])
  nodes.replaceAll([virtualSample()])
  namespaces.replaceAll([])
  const turnedAway = new Set<string>()
  const state: { spend: SpendSnapshot | undefined; budget: string | undefined } = {
    spend: { atMs: clock.wallMs(), records: [] },
    budget: perHour,
  }
  const strict = policySample('strict', { spec: { spend: { currency: 'USD', perHour: '0' } } })
  const door = new BudgetDoor({
    bursts: {
      facts: () => ({ policies: [strict], spend: state.spend, gone: [], turnedAway }),
      turnAway: (uid, is) => void (is ? turnedAway.add(uid) : turnedAway.delete(uid)),
    },
    pods,
    nodes,
    namespaces,
    pools: () => [
      {
        name: 'burst',
        rate: () => dollars(1n),
        budget:
          state.budget === undefined
            ? undefined
            : compileSpendCaps({ currency: 'USD', perHour: state.budget }),
      },
    ],
    clock,
  })
  return { clock, pods, namespaces, turnedAway, state, door }
}

function comes(name: string, namespace = 'shop'): Pod {
  return boundSample('burst-0', { name, namespace, status: { phase: 'Pending', conditions: [] } })
}

describe('the door', () => {
  test('lets in as many as the budget has room for, however many come at once', () => {
    const { door, pods } = house()
    const crowd = Array.from({ length: 8 }, (_, index) => comes(`p${index}`))
    // The first are asked about before the controller's watch has brought them in.
    const first = crowd.slice(0, 4).map((pod) => door.ask(pod, 'burst'))
    expect(first.map((refusal) => refusal === undefined)).toEqual([true, true, true, false])
    expect(first[3]?.evidence).toBe(
      'the budget of pool burst: until the end of the hour it costs up to $1.00, and of $3.00 per hour $0.00 are spent and $3.00 reserved',
    )
    pods.replaceAll(crowd)
    expect(crowd.slice(4).map((pod) => door.ask(pod, 'burst') === undefined)).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  test('does not let Pods that wait before it keep each other out', () => {
    const { door, pods, clock } = house()
    const crowd = Array.from({ length: 5 }, (_, index) => comes(`p${index}`))
    pods.replaceAll(crowd)
    const rounds = [1, 2, 3].map(() => {
      const inside = crowd.filter((pod) => door.ask(pod, 'burst') === undefined)
      return inside.length
    })
    expect(rounds.at(-1)).toBe(3)
    expect(clock.pending).toBe(0)
  })

  test('honours what has been promised to a Pod that was let out and is on its way', () => {
    const { door, pods } = house('1')
    const promised = podSample({ name: 'out', spec: { tolerations: [poolToleration('burst')] } })
    const byHand = comes('by-hand')
    pods.replaceAll([promised, byHand])
    expect(door.ask(byHand, 'burst')?.isUnknown).toBe(false)
    const arrived = { ...promised, spec: { containers: [], ...promised.spec, nodeName: 'burst-0' } }
    expect(door.ask(arrived, 'burst')).toBeUndefined()
  })

  test('gives room back when one has ended', async () => {
    const { door, pods, clock, state } = house('1')
    const [one, two] = [comes('one'), comes('two')]
    pods.replaceAll([one, two])
    door.ask(two, 'burst')
    expect(door.ask(one, 'burst')).toBeUndefined()
    expect(door.ask(two, 'burst')).toBeDefined()
    const record: SpendRecord = {
      namespace: 'shop',
      labels: {},
      pool: 'burst',
      currency: 'USD',
      spent: { hour: 1n, day: 1n, month: 1n },
    }
    await clock.advance(60_000)
    pods.remove(one)
    state.spend = { atMs: clock.wallMs(), records: [record] }
    // Of a dollar an hour is left what is left of the hour, less what one has cost.
    expect(door.ask(two, 'burst')).toBeUndefined()
  })

  test('refuses nobody for money that was let in before this process began', () => {
    const { door, clock } = house('0')
    const before = comes('before')
    expect(door.ask(before, 'burst')).toBeDefined()
    const started = { ...before, status: { ...before.status, startTime: kubeTime(clock.wallMs()) } }
    expect(door.ask(started, 'burst')).toBeUndefined()
  })

  test('asks namespaces too, and policies not: those say who is let out', () => {
    const { door, namespaces, state } = house()
    state.budget = undefined
    expect(door.ask(comes('one'), 'burst')).toBeUndefined()
    const annotations = { 'spillway.dev/budget-per-hour': '1 USD' }
    namespaces.put({ metadata: { name: 'yard', annotations } })
    state.spend = { atMs: 0, records: [] }
    expect(door.ask(comes('two', 'yard'), 'burst')).toBeUndefined()
    expect(door.ask(comes('three', 'yard'), 'burst')?.evidence).toContain('the budget of namespace yard')
  })

  test('waits while what was spent is not known', () => {
    const { door, state } = house()
    state.spend = undefined
    expect(door.ask(comes('one'), 'burst')?.isUnknown).toBe(true)
  })
})
