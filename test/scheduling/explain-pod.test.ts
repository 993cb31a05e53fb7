import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import type { ClusterObjects } from '../../src/scheduling/cluster-picture.ts'
import { decideOverflow, withToleration, type OverflowRules } from '../../src/scheduling/decide-overflow.ts'
import { explainPod, type PodExplanation } from '../../src/scheduling/explain-pod.ts'
import { overflowPicture } from '../../src/scheduling/overflow-picture.ts'
import { compileSpendCaps } from '../../src/config/spend-caps.ts'
import type { BurstFacts } from '../../src/scheduling/burst/burst-picture.ts'
import { dollars } from './burst/samples.ts'
import { fitOn } from '../../src/scheduling/fit.ts'
import { boundSample, clusterSample, podSample, serverSample, virtualSample } from './samples.ts'

const rules: OverflowRules = {
  pools: [{ name: 'burst', refuses: () => undefined }],
  waitMs: 0,
  nominatedWaitMs: 30_000,
  allowLocalTraffic: false,
}
const moment = { nowWallMs: 1_000_000, nominatedSinceMs: undefined }
/** Leaves 100m of its core. */
const hog = boundSample('server-0', { name: 'hog', cpu: '900m' })
const full: Partial<ClusterObjects> = { nodes: [serverSample(), virtualSample()], pods: [hog] }

/** One that nobody has looked at, as a file has it. */
function unseen(pod: Pod): Pod {
  const { status: _, ...rest } = pod
  return rest
}

function explain(
  pod: Pod,
  objects: Partial<ClusterObjects>,
  more: Partial<OverflowRules> = {},
): PodExplanation {
  return explainPod(pod, clusterSample(objects), { ...rules, ...more }, moment)
}

describe('a Pod is explained', () => {
  it('rule by rule, up to the one that decides, also before the scheduler has looked at it', () => {
    expect(explain(unseen(podSample()), full)).toMatchObject({
      outcome: 'virtual',
      because: 'no server has room (1 lacks cpu)',
      pool: 'burst',
      nodes: ['burst-0'],
      rules: [
        { rule: 'eligible', passes: true },
        { rule: 'preemption', passes: true },
        { rule: 'waiting time', passes: true },
        { rule: 'servers', passes: true, evidence: 'no server has room (1 lacks cpu)' },
        { rule: 'local traffic', passes: true },
        { rule: 'pool burst', passes: true, evidence: '1 has room' },
      ],
      says: [
        { node: 'server-0', pool: undefined, answer: 'lacks cpu' },
        { node: 'burst-0', pool: 'burst', answer: 'has room' },
      ],
    })
  })

  it('that goes to a server, with those that the scheduler holds equal', () => {
    const nodes = [
      serverSample({ name: 'busy' }),
      serverSample({ name: 'idle-1' }),
      serverSample({ name: 'idle-2' }),
      serverSample({ name: 'away', cordoned: true }),
      virtualSample(),
    ]
    const pods = [boundSample('busy', { name: 'some', cpu: '300m' })]
    const told = explain(unseen(podSample()), { nodes, pods })
    expect(told).toMatchObject({ outcome: 'server', pool: undefined, nodes: ['idle-1', 'idle-2'] })
    expect(told.rules.at(-1)).toMatchObject({ rule: 'servers', passes: false })
    expect(told.says.map(({ answer }) => answer)).toEqual([
      'is cordoned',
      'has room',
      'has room',
      'has room',
      'has room',
    ])
  })

  it('that the scheduler finds a server for before anybody else is asked, whatever its labels say', () => {
    const labels = { 'spillway.dev/placement': 'virtual' }
    const roomy = { ...full, pods: [] }
    expect(explain(unseen(podSample({ labels })), roomy)).toMatchObject({
      outcome: 'server',
      nodes: ['server-0'],
      because: 'server-0 has room for it, and the scheduler finds that by itself',
    })
    expect(explain(podSample({ labels }), roomy)).toMatchObject({ outcome: 'virtual', nodes: ['burst-0'] })
  })

  it('that has a volume: without saying where that may be while that is not known, and as waiting once it was refused', () => {
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
    const roomy = { nodes: [serverSample({ cpu: '4' }), virtualSample()] }
    const pod = podSample({ spec: { volumes } })
    expect(explain(unseen(pod), roomy)).toMatchObject({
      outcome: 'server',
      because: expect.stringMatching(/finds that by itself; where its volumes may be is not known$/),
    })
    expect(explain(pod, roomy)).toMatchObject({
      outcome: 'waits',
      because: expect.stringContaining('another reason than room'),
    })
  })

  it('that stays, with the rule that keeps it in', () => {
    const labels = { 'spillway.dev/placement': 'server' }
    const told = explain(unseen(podSample({ labels })), full)
    expect(told).toMatchObject({ outcome: 'stays', pool: undefined, nodes: [] })
    expect(told.rules).toEqual([
      { rule: 'eligible', passes: false, evidence: 'label spillway.dev/placement of the Pod says server' },
    ])
    const refusing = [{ name: 'burst', refuses: () => 'no GPU' }]
    expect(explain(podSample(), full, { pools: refusing }).rules.at(-1)).toEqual({
      rule: 'pool burst',
      passes: false,
      evidence: 'no GPU',
    })
  })

  it('that waits for a virtual node with room', () => {
    const small = { ...full, nodes: [serverSample(), virtualSample('burst', { cpu: '100m' })] }
    expect(explain(podSample(), small)).toMatchObject({ outcome: 'waits', nodes: [] })
  })

  it('that was sent out by hand: nobody has to let it out', () => {
    const spec = { nodeSelector: { 'spillway.dev/pool': 'burst' } }
    const byHand = withToleration(unseen(podSample({ spec })), 'burst')
    expect(explain(byHand, { ...full, pods: [] })).toMatchObject({
      outcome: 'virtual',
      pool: 'burst',
      nodes: ['burst-0'],
    })
  })

  it('that was sent out by hand to a pool whose budget has no room: its node has it wait', () => {
    const spec = { nodeSelector: { 'spillway.dev/pool': 'burst' } }
    const byHand = withToleration(podSample({ spec }), 'burst')
    const budget = compileSpendCaps({ currency: 'USD', perHour: '0.5' })
    const priced = {
      ...rules.pools[0],
      name: 'burst',
      refuses: () => undefined,
      rate: () => dollars(1n),
      budget,
    }
    const { nowWallMs } = moment
    const facts: BurstFacts = { policies: [], spend: { atMs: nowWallMs, records: [] }, gone: [] }
    const bursts = { facts: () => facts, subscribe: () => () => undefined, tellHeld: () => undefined }
    const asked = { ...rules, pools: [priced], bursts }
    const objects = { nodes: [serverSample(), virtualSample()], pods: [hog], namespaces: [], services: [] }
    const picture = overflowPicture(objects, { refused: [], rules: asked, nowWallMs })
    const told = explainPod(byHand, picture, asked, moment)
    expect(told).toMatchObject({ outcome: 'virtual', pool: 'burst' })
    expect(told.rules.at(-1)?.evidence).toMatch(
      /^1 has room, but its node has to wait for money: the budget of pool burst: until the end of the hour/,
    )
  })

  it('with what each node says, servers first, in the order of their numbers', () => {
    const nodes = [10, 2, 1].map((ordinal) => virtualSample('burst', { name: `burst-${ordinal}` }))
    const pod = podSample({ spec: { nodeSelector: { 'spillway.dev/pool': 'burst' } } })
    const told = explain(withToleration(pod, 'burst'), { ...full, nodes: [...nodes, serverSample()] })
    expect(told.nodes).toEqual(['burst-1', 'burst-2', 'burst-10'])
    expect(told.says.map(({ node, answer }) => `${node} ${answer}`)).toEqual([
      'server-0 not meant for it: node selector or affinity',
      'burst-1 has room',
      'burst-2 has room',
      'burst-10 has room',
    ])
  })

  it('that is somewhere already, or over', () => {
    expect(explain(hog, full)).toMatchObject({
      outcome: 'bound',
      because: 'it is on server server-0',
      nodes: ['server-0'],
      rules: [],
    })
    const out = boundSample('burst-0', { name: 'out' })
    expect(explain(out, full).because).toBe('it is on virtual node burst-0 of pool burst')
    expect(explain({ ...out, status: { phase: 'Succeeded' } }, full)).toMatchObject({
      outcome: 'over',
      because: 'it is Succeeded',
    })
  })

  it('with the truth about who leaves first, by the kind that owns it', () => {
    const leaves = (owner?: string, annotations: Record<string, string> = {}): string => {
      const pod = podSample(owner === undefined ? {} : { owner })
      return explain({ ...pod, metadata: { ...pod.metadata, annotations } }, full).leaves
    }
    expect(leaves()).toMatch(/^nobody scales it/)
    expect(leaves('ReplicaSet')).toContain('those on virtual nodes leave before those on servers')
    expect(leaves('ReplicaSet', { [deletionCostAnnotation]: '7' })).toContain(
      'its deletion cost of 7 decides',
    )
    expect(
      leaves('ReplicaSet', { [deletionCostAnnotation]: '-1000', [deletionCostSetAnnotation]: '-1000' }),
    ).toContain('those on virtual nodes leave')
    expect(leaves('StatefulSet')).toContain('highest ordinal first')
    expect(leaves('Job')).toContain('have ended')
    expect(leaves('Rollout')).toContain('its Rollout decides')
  })
})

describe('the explanation and overflow', () => {
  const millis = (max: number) => fc.integer({ min: 1, max }).map((cpu) => `${cpu}m`)
  const node = fc.record({ cpu: millis(4000), cordoned: fc.boolean(), ready: fc.boolean() })
  const world = fc.record({
    servers: fc.array(node, { maxLength: 3 }),
    virtual: fc.array(node, { maxLength: 2 }),
    cpu: millis(3000),
    placement: fc.constantFrom(undefined, 'auto', 'server', 'virtual', 'nonsense'),
    owner: fc.constantFrom(undefined, 'ReplicaSet', 'DaemonSet'),
    selector: fc.constantFrom({}, { 'spillway.dev/pool': 'burst' }, { disk: 'fast' }),
    letIn: fc.boolean(),
  })

  it('never disagree', () => {
    fc.assert(
      fc.property(world, ({ servers, virtual, cpu, placement, owner, selector, letIn }) => {
        const nodes = [
          ...servers.map((one, index) => serverSample({ ...one, name: `server-${index}` })),
          ...virtual.map((one, index) => virtualSample('burst', { ...one, name: `burst-${index}` })),
        ]
        const refused = podSample({
          cpu,
          labels: placement === undefined ? {} : { 'spillway.dev/placement': placement },
          ...(owner !== undefined && { owner }),
          spec: { nodeSelector: selector },
        })
        const pod = letIn ? withToleration(refused, 'burst') : refused
        const picture = clusterSample({ nodes })
        const decision = decideOverflow(pod, picture, rules, moment)
        const told = explainPod(pod, picture, rules, moment)
        expect(told.because).toBe(decision.because)
        expect(told.outcome === 'stays').toBe(decision.kind === 'never')
        if (decision.kind === 'send') expect(told).toMatchObject({ outcome: 'virtual', pool: decision.pool })
        const rooms = [...picture.servers, ...(picture.virtualNodes.get('burst') ?? [])]
        const asking = told.pool === undefined ? pod : withToleration(pod, told.pool)
        for (const name of told.nodes) {
          const room = rooms.find((one) => one.name === name)
          expect(room && fitOn(asking, room).kind).toBe('fits')
        }
        expect(told.nodes.length > 0).toBe(told.outcome === 'server' || told.outcome === 'virtual')
      }),
    )
  })
})
