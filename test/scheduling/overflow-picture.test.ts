/** What explain says of a Pod and what the controller does to it, over random clusters, policies and money. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileSpendCaps } from '../../src/config/spend-caps.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import type { KubeObject, Namespace, Node, Pod, Service } from '../../src/model/kubernetes.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { inOrder } from '../../src/scheduling/burst/burst-policy.ts'
import type { BurstFacts } from '../../src/scheduling/burst/burst-picture.ts'
import type { SpendRecord } from '../../src/scheduling/burst/spend.ts'
import { poolToleration, type OverflowRules } from '../../src/scheduling/decide-overflow.ts'
import { explainPod } from '../../src/scheduling/explain-pod.ts'
import type { HeldBy, OverflowDecision } from '../../src/scheduling/judgement.ts'
import { defaultOverflowRules, runOverflow } from '../../src/scheduling/overflow.ts'
import { overflowPicture, refusedPods } from '../../src/scheduling/overflow-picture.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { dollars, policySample } from './burst/samples.ts'
import { boundSample, podSample, serverSample, virtualSample } from './samples.ts'

const specs = fc.record(
  {
    podSelector: fc.constantFrom({ matchLabels: { app: 'web' } }, { matchLabels: { app: 'db' } }, {}),
    mode: fc.constantFrom('Auto', 'Auto', 'Never', 'Always'),
    waitSeconds: fc.constantFrom(0, 0, 60),
    maxVirtualReplicas: fc.integer({ min: 0, max: 4 }),
    minServerReplicas: fc.integer({ min: 0, max: 2 }),
    pools: fc.constantFrom(['burst'], ['spare', 'burst'], ['nowhere'], ['nowhere', 'spare']),
    spend: fc.constantFrom(
      { currency: 'USD', perHour: '3' },
      { currency: 'USD', perMonth: '900' },
      { currency: 'EUR', perHour: '100' },
    ),
    quietHours: fc.constantFrom([], [{ from: '00:00', to: '06:00' }], [{ from: '12:00', to: '18:00' }]),
  },
  { requiredKeys: [] },
)

const policies = fc
  .array(
    fc.record({ kind: fc.constantFrom('BurstPolicy' as const, 'ClusterBurstPolicy' as const), spec: specs }),
    {
      maxLength: 3,
    },
  )
  .map((all) => inOrder(all.map(({ kind, spec }, index) => policySample(`p${index}`, { kind, spec }))))

const worlds = fc.record({
  policies: fc.option(policies, { nil: undefined, freq: 10 }),
  known: fc.integer({ min: 0, max: 9 }),
  spent: fc.bigInt({ min: 0n, max: 4n }),
  running: fc.integer({ min: 0, max: 3 }),
  onServer: fc.integer({ min: 0, max: 2 }),
  waiting: fc.integer({ min: 1, max: 4 }),
  serverCores: fc.constantFrom('1', '1', '8'),
  burstCores: fc.constantFrom('1', '8'),
  placement: fc.constantFrom(undefined, undefined, 'auto', 'virtual', 'server'),
  tolerates: fc.constantFrom(false, false, false, true),
  /** Dollars an hour that pool burst and namespace shop may cost. */
  poolBudget: fc.constantFrom(undefined, undefined, '2', '3'),
  namespaceBudget: fc.constantFrom(undefined, undefined, '3 USD', '4 USD', 'four'),
})

type World = typeof worlds extends fc.Arbitrary<infer T> ? T : never

const refusedAt = '2025-12-31T23:59:30Z'

function clusterOf(world: World): { pods: readonly Pod[]; nodes: readonly Node[] } {
  const labels = { app: 'web', ...(world.placement && { 'spillway.dev/placement': world.placement }) }
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    lastTransitionTime: refusedAt,
  }
  const tolerations = world.tolerates ? [poolToleration('burst')] : []
  const many = (count: number, make: (index: number) => Pod): Pod[] =>
    Array.from({ length: count }, (_, at) => make(at))
  return {
    nodes: [
      serverSample({ cpu: world.serverCores }),
      virtualSample('burst', { cpu: world.burstCores }),
      virtualSample('spare', { cpu: '2' }),
    ],
    pods: [
      ...many(world.running, (at) =>
        boundSample('burst-0', { name: `out-${at}`, labels, owner: 'StatefulSet', cpu: '300m' }),
      ),
      ...many(world.onServer, (at) =>
        boundSample('server-0', { name: `in-${at}`, labels, owner: 'StatefulSet', cpu: '500m' }),
      ),
      ...many(world.waiting, (at) =>
        podSample({
          name: `new-${at}`,
          labels,
          owner: 'StatefulSet',
          cpu: '600m',
          spec: { tolerations },
          status: { conditions: [condition] },
        }),
      ),
    ],
  }
}

function rulesOf(world: World, held: (all: readonly HeldBy[]) => void): OverflowRules {
  const record: SpendRecord = {
    namespace: 'shop',
    labels: { app: 'web' },
    pool: 'burst',
    currency: 'USD',
    spent: { hour: world.spent * 10n ** 9n, day: world.spent * 10n ** 9n, month: world.spent * 10n ** 9n },
  }
  const facts: BurstFacts = {
    policies: world.policies,
    spend: world.known === 0 ? undefined : { atMs: new FakeClock().wallMs(), records: [record] },
    gone: [],
  }
  return {
    ...defaultOverflowRules,
    pools: [
      {
        name: 'burst',
        refuses: () => undefined,
        rate: () => dollars(1n),
        ...(world.poolBudget !== undefined && {
          budget: compileSpendCaps({ currency: 'USD', perHour: world.poolBudget }),
        }),
      },
      { name: 'spare', refuses: () => undefined, rate: () => dollars(1n, 2n) },
    ],
    bursts: { facts: () => facts, subscribe: () => () => undefined, tellHeld: held },
  }
}

function namespacesOf({ namespaceBudget }: World): readonly Namespace[] {
  const annotations = { ...(namespaceBudget && { 'spillway.dev/budget-per-hour': namespaceBudget }) }
  return [{ metadata: { name: 'shop', annotations } }]
}

/** One round of the real controller; what it decided, Pod by Pod, in its order. */
async function decisionsOf(world: World): Promise<{ name: string; decision: OverflowDecision }[]> {
  const clock = new FakeClock()
  const { pods, nodes } = clusterOf(world)
  const lines: string[] = []
  const log = createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } })
  const store = <T extends KubeObject>(objects: readonly T[]): ObjectStore<T> => {
    const made = new ObjectStore<T>({ log })
    made.replaceAll(objects)
    return made
  }
  const ending = new AbortController()
  const done = Promise.withResolvers<void>()
  const rules = rulesOf(world, () => done.resolve())
  const running = runOverflow(
    {
      api: {
        get: () => Promise.reject(new Error('nobody asks')),
        // The Pod as it comes back is of no matter: one round is looked at.
        patch: async <T extends KubeObject>() => pods[0] as unknown as T,
      },
      pods: store(pods),
      nodes: store(nodes),
      namespaces: store<Namespace>(namespacesOf(world)),
      services: store<Service>([]),
      rules: () => rules,
      onRules: () => () => undefined,
      events: { record: () => undefined },
      clock,
      random: () => 0.5,
      log,
    },
    ending.signal,
  )
  await done.promise
  ending.abort()
  await running
  return lines
    .map((line) => JSON.parse(line) as { msg: string; pod: { name: string } } & OverflowDecision)
    .filter(({ msg }) => msg === 'overflow decided')
    .slice(0, world.waiting)
    .map((decision) => ({ name: decision.pod.name, decision }))
}

function foretold(world: World, sent: readonly { name: string; pool: string }[], name: string): string {
  const { pods, nodes } = clusterOf(world)
  const rules = rulesOf(world, () => undefined)
  const nowWallMs = new FakeClock().wallMs()
  // As the watch brings it in: those that were sent before have their toleration.
  const all = pods.map((pod) => {
    const pool = sent.find((one) => one.name === pod.metadata?.name)?.pool
    const spec = pod.spec ?? { containers: [] }
    const tolerations = [...(spec.tolerations ?? []), ...(pool === undefined ? [] : [poolToleration(pool)])]
    return { ...pod, spec: { ...spec, tolerations } }
  })
  const pod = all.find(({ metadata }) => metadata?.name === name)
  if (!pod) throw new Error(`${name} is not there`)
  const objects = { pods: all, nodes, namespaces: namespacesOf(world), services: [] }
  const picture = overflowPicture(objects, { refused: refusedPods(all), rules, nowWallMs })
  const { outcome, pool } = explainPod(pod, picture, rules, { nowWallMs, nominatedSinceMs: undefined })
  return outcome === 'virtual' ? `virtual ${pool}` : outcome
}

function did(decision: OverflowDecision): string {
  if (decision.kind === 'send') return `virtual ${decision.pool}`
  if (decision.kind === 'never') return 'stays'
  if (decision.pool !== undefined) return `virtual ${decision.pool}`
  return decision.because.includes('has room for it') ? 'server' : 'waits'
}

test('explain and the controller never disagree', async () => {
  const seen = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(worlds, async (world) => {
      const sent: { name: string; pool: string }[] = []
      for (const { name, decision } of await decisionsOf(world)) {
        const said = foretold(world, sent, name)
        expect(said).toBe(did(decision))
        seen.set(said, (seen.get(said) ?? 0) + 1)
        for (const budget of ['pool burst', 'namespace shop']) {
          if (decision.because.includes(`the budget of ${budget}`))
            seen.set(budget, (seen.get(budget) ?? 0) + 1)
        }
        if (decision.kind === 'send') sent.push({ name, pool: decision.pool })
      }
    }),
    { numRuns: 400, seed: 20261129 },
  )
  // The worlds were such that all of it came about.
  for (const outcome of [
    'pool burst',
    'namespace shop',
    'virtual burst',
    'virtual spare',
    'stays',
    'waits',
    'server',
  ]) {
    expect(seen.get(outcome) ?? 0, outcome).toBeGreaterThan(20)
  }
})
