import { describe, expect, test } from 'vitest'
import type { Pod } from '../../../src/model/kubernetes.ts'
import type { BurstFacts } from '../../../src/scheduling/burst/burst-picture.ts'
import { inOrder, type BurstPolicy } from '../../../src/scheduling/burst/burst-policy.ts'
import { judgeOverflow, poolToleration, type OverflowRules } from '../../../src/scheduling/decide-overflow.ts'
import type { Judgement } from '../../../src/scheduling/judgement.ts'
import { defaultOverflowRules } from '../../../src/scheduling/overflow.ts'
import { overflowPicture, refusedPods } from '../../../src/scheduling/overflow-picture.ts'
import { boundSample, podSample, serverSample, virtualSample } from '../samples.ts'
import { dollars, policySample } from './samples.ts'

const nowWallMs = Date.parse('2026-03-10T10:30:00Z')
const nodes = [serverSample(), virtualSample('burst'), virtualSample('spare')]
/** Leaves the server full. */
const hog = boundSample('server-0', { name: 'hog', cpu: '900m' })
const pools = [
  { name: 'burst', refuses: () => undefined, rate: () => dollars(4n) },
  { name: 'spare', refuses: () => undefined, rate: () => dollars(1n) },
]

interface Case {
  readonly pod?: Pod
  readonly others?: readonly Pod[]
  readonly policies: readonly BurstPolicy[] | undefined
  readonly rules?: Partial<OverflowRules>
}

function judge({ pod = podSample(), others = [], policies, rules: more }: Case): Judgement {
  const facts: BurstFacts = {
    policies: policies && inOrder(policies),
    spend: { atMs: nowWallMs, records: [] },
    gone: [],
  }
  const bursts = { facts: () => facts, subscribe: () => () => undefined, tellHeld: () => undefined }
  const rules = { ...defaultOverflowRules, pools, bursts, ...more }
  const pods = [hog, pod, ...others]
  const objects = { pods, nodes, namespaces: [{ metadata: { name: 'shop' } }], services: [] }
  const picture = overflowPicture(objects, { refused: refusedPods(pods), rules, nowWallMs })
  return judgeOverflow(pod, picture, rules, { nowWallMs, nominatedSinceMs: undefined })
}

function verdict(one: Case): string {
  const { decision } = judge(one)
  return decision.kind === 'send' ? `send to ${decision.pool}` : `${decision.kind}: ${decision.because}`
}

function lineOf(one: Case, rule: string): string | undefined {
  return judge(one).rules.find((line) => line.rule === rule)?.evidence
}

const of = (spec: object): readonly BurstPolicy[] => [policySample('p', { spec })]

describe('what a policy says to a Pod', () => {
  test('nothing where there is none, and nothing is let out before they are known', () => {
    expect(lineOf({ policies: [] }, 'policy')).toBeUndefined()
    expect(verdict({ policies: [] })).toBe('send to burst')
    expect(verdict({ policies: undefined })).toBe('wait: burst policies are not known yet')
    const other = policySample('other', { namespace: 'yard', spec: { mode: 'Never' } })
    expect(lineOf({ policies: [other] }, 'policy')).toBe('none selects it')
  })

  test('Never holds it, unless a label counts before it or it tolerates virtual nodes already', () => {
    expect(verdict({ policies: of({ mode: 'Never' }) })).toBe('never: BurstPolicy shop/p says Never')
    const labelled = podSample({ labels: { 'spillway.dev/placement': 'auto' } })
    expect(verdict({ pod: labelled, policies: of({ mode: 'Never' }) })).toBe('send to burst')
    const out = podSample({ spec: { tolerations: [poolToleration('burst')] } })
    expect(verdict({ pod: out, policies: of({ mode: 'Never' }) })).toBe(
      'wait: it may go to virtual nodes of pool burst already',
    )
    expect(lineOf({ pod: out, policies: of({ mode: 'Never' }) }, 'policy')).toBe(
      'BurstPolicy shop/p says Never, but it tolerates virtual nodes already: nothing holds it',
    )
  })

  test('Always asks no server, and waits for none', () => {
    const small = podSample({ cpu: '50m' })
    expect(verdict({ pod: small, policies: of({ mode: 'Auto' }) })).toContain('wait: server-0 has room')
    const always = { pod: small, policies: of({ mode: 'Always', waitSeconds: 600 }) }
    expect(verdict(always)).toBe('send to burst')
    expect(lineOf(always, 'servers')).toBe('its policy says Always')
  })

  test('waitSeconds takes the place of the configuration’s', () => {
    const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }
    const since = { ...condition, lastTransitionTime: '2026-03-10T10:29:50Z' }
    const pod = podSample({ status: { conditions: [since] } })
    const { decision } = judge({ pod, policies: of({ waitSeconds: 30 }) })
    expect(decision).toMatchObject({ kind: 'wait', afterMs: 20_000 })
    expect(verdict({ pod, policies: of({}), rules: { waitMs: 60_000 } })).toBe('send to burst')
    expect(verdict({ pod, policies: [], rules: { waitMs: 60_000 } })).toContain('wait')
  })

  test('quiet hours hold it until they end, unless a label counts before them', () => {
    const quiet = of({ quietHours: [{ from: '10:00', to: '10:40' }] })
    expect(judge({ policies: quiet }).decision).toMatchObject({
      kind: 'wait',
      afterMs: 600_000,
      because: 'BurstPolicy shop/p: it is 10:00–10:40 UTC, and no Pod goes out',
    })
    const pod = podSample({ labels: { 'spillway.dev/placement': 'virtual' } })
    expect(verdict({ pod, policies: quiet })).toBe('send to burst')
  })

  test('caps on replicas count a workload and hold the next one', () => {
    const pod = podSample({ name: 'next', owner: 'StatefulSet' })
    const out = [0, 1].map((at) => boundSample('burst-0', { name: `out-${at}`, owner: 'StatefulSet' }))
    expect(verdict({ pod, others: out, policies: of({ maxVirtualReplicas: 3 }) })).toBe('send to burst')
    expect(verdict({ pod, others: out, policies: of({ maxVirtualReplicas: 2 }) })).toBe(
      'wait: BurstPolicy shop/p: 2 of shop/StatefulSet/it are on virtual nodes or may go there, and 2 is the most',
    )
    expect(verdict({ pod, others: out, policies: of({ minServerReplicas: 1 }) })).toBe(
      'wait: BurstPolicy shop/p: 0 of shop/StatefulSet/it are on servers, and 1 have to be before one goes out',
    )
    // For who is to be on a virtual node, Pods on servers would never be enough.
    const virtual = podSample({
      name: 'next',
      owner: 'StatefulSet',
      labels: { 'spillway.dev/placement': 'virtual' },
    })
    expect(verdict({ pod: virtual, policies: of({ minServerReplicas: 1 }) })).toBe('send to burst')
  })

  test('its pools are tried in its order, and a cheaper one when the first costs too much', () => {
    expect(verdict({ policies: of({ pools: ['spare', 'burst'] }) })).toBe('send to spare')
    const spend = (perHour: string) => of({ spend: { currency: 'USD', perHour } })
    expect(verdict({ policies: spend('2') })).toBe('send to burst')
    expect(verdict({ policies: spend('1') })).toBe('send to spare')
    const { decision, rules } = judge({ policies: spend('0.1') })
    expect(decision).toMatchObject({ kind: 'wait', heldBy: { policy: 'uid-of-p', why: 'budget' } })
    expect(rules.at(-2)).toEqual({
      rule: 'pool burst',
      passes: false,
      evidence:
        'BurstPolicy shop/p: until the end of the hour it costs up to $2.00, and of $0.1000 per hour $0.00 are spent and $0.00 reserved',
    })
  })

  test('a pool that it names and that is not there is said, and one alone can be asked about', () => {
    const policies = of({ pools: ['nowhere', 'spare'] })
    expect(lineOf({ policies }, 'pool nowhere')).toBe('there is no such pool')
    expect(verdict({ policies })).toBe('send to spare')
    expect(judge({ policies, rules: { only: 'spare' } }).rules.map(({ rule }) => rule)).not.toContain(
      'pool nowhere',
    )
  })

  test('caps of policies that it comes before hold all the same', () => {
    const own = policySample('own')
    const cluster = policySample('cap', {
      kind: 'ClusterBurstPolicy',
      spec: { mode: 'Never', spend: { currency: 'USD', perHour: '0.1' } },
    })
    const { decision, rules } = judge({ policies: [cluster, own] })
    expect(decision).toMatchObject({ kind: 'wait', heldBy: { policy: 'uid-of-cap' } })
    expect(rules.find(({ rule }) => rule === 'policy')?.evidence).toBe(
      'BurstPolicy shop/own says Auto, before ClusterBurstPolicy cap, whose caps on spend hold all the same: ClusterBurstPolicy cap',
    )
  })
})
