/**
 * One pass over many workloads under many policies: what the controller does when something changes, and what it does for
 * the statuses. Beside it the same without policies. No cluster needed. `npm run bench:burst-policies`. Exit code 3 when
 * the target is missed.
 */
import { parseArgs } from 'node:util'
import { formatTable } from '../src/cli/table.ts'
import { rateOfPod } from '../src/billing/rate.ts'
import { shippedPriceBooks } from '../src/billing/shipped-price-books.ts'
import { systemClock } from '../src/model/clock.ts'
import type { Node, Pod } from '../src/model/kubernetes.ts'
import type { PriceBook } from '../src/model/price-book.ts'
import { workloadOf } from '../src/model/usage.ts'
import { burstPolicyOf, inOrder, type BurstPolicy } from '../src/scheduling/burst/burst-policy.ts'
import { burstStatus } from '../src/scheduling/burst/burst-status.ts'
import { tallyOf } from '../src/scheduling/burst/keep-policies.ts'
import { burstPictureOf, type BurstFacts } from '../src/scheduling/burst/burst-picture.ts'
import type { SpendRecord } from '../src/scheduling/burst/spend.ts'
import { decideOverflow, type OverflowRules } from '../src/scheduling/decide-overflow.ts'
import type { HeldBy } from '../src/scheduling/judgement.ts'
import { defaultOverflowRules, mostSentAtOnce } from '../src/scheduling/overflow.ts'
import { overflowPicture, refusedPods, withSentPod } from '../src/scheduling/overflow-picture.ts'
import { percentile } from './percentile.ts'

const { values: flags } = parseArgs({
  options: {
    workloads: { type: 'string', default: '200' },
    policies: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
  },
})
const workloadCount = Number(flags.workloads)
const policyCount = Number(flags.policies)
const rounds = Number(flags.rounds)
const targetMs = 50
/** Of each workload: three Pods on servers, two on virtual nodes, one that waits. */
const places = ['server', 'server', 'server', 'virtual', 'virtual', 'waits'] as const
const namespaceCount = 10

const nowMs = systemClock.wallMs()
const book = firstBook()

function firstBook(): PriceBook {
  const [first] = shippedPriceBooks
  if (!first) throw new Error('no price book is shipped')
  return first
}

function podOf(workload: number, index: number): Pod {
  const place = places[index % places.length]
  const app = `app-${workload}`
  const namespace = `team-${workload % namespaceCount}`
  const waits = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }
  const toleration = {
    key: 'spillway.dev/virtual-node',
    operator: 'Equal',
    value: 'burst',
    effect: 'NoSchedule',
  }
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `${app}-5d4f`,
    uid: `rs-${app}`,
    controller: true,
  }
  return {
    metadata: {
      name: `${app}-${index}`,
      namespace,
      uid: `${app}-${index}`,
      resourceVersion: '1',
      labels: { app, tier: `tier-${workload % 5}`, 'pod-template-hash': '5d4f' },
      ownerReferences: [owner],
    },
    spec: {
      containers: [{ name: 'main', resources: { requests: { cpu: '500m', memory: '1Gi' } } }],
      ...(place === 'server' && { nodeName: `server-${workload % 20}` }),
      ...(place === 'virtual' && { nodeName: `burst-${workload % 4}`, tolerations: [toleration] }),
    },
    status: place === 'waits' ? { phase: 'Pending', conditions: [waits] } : { phase: 'Running' },
  }
}

function nodeOf(name: string, labels: Record<string, string>, cpu: string): Node {
  const taint = { key: 'spillway.dev/virtual-node', value: 'burst', effect: 'NoSchedule' }
  return {
    metadata: { name, labels },
    spec: labels['type'] ? { taints: [taint] } : {},
    status: {
      allocatable: { cpu, memory: '2000Gi', pods: '2000' },
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }
}

const pods = Array.from({ length: workloadCount * places.length }, (_, at) =>
  podOf(Math.floor(at / places.length), at % places.length),
)
const nodes = [
  ...Array.from({ length: 20 }, (_, at) => nodeOf(`server-${at}`, {}, '15')),
  ...Array.from({ length: 4 }, (_, at) =>
    nodeOf(`burst-${at}`, { type: 'virtual-kubelet', 'spillway.dev/pool': 'burst' }, '1000'),
  ),
]

/** Half of them of a namespace each, half of the cluster; every other one with caps on spend, all with caps on replicas. */
function policiesWith(maxVirtualReplicas: number): readonly BurstPolicy[] {
  return inOrder(
    Array.from({ length: policyCount }, (_, at) => {
      const kind = at % 2 === 0 ? ('BurstPolicy' as const) : ('ClusterBurstPolicy' as const)
      const spend = { currency: book.currency, perHour: '20', perDay: '400', perMonth: '9000' }
      return burstPolicyOf(kind, {
        metadata: {
          name: `policy-${at}`,
          namespace: `team-${at % namespaceCount}`,
          uid: `policy-${at}`,
          generation: 1,
        },
        spec: {
          podSelector: {
            matchExpressions: [{ key: 'tier', operator: 'In', values: [`tier-${at % 5}`, 'tier-0'] }],
          },
          maxVirtualReplicas,
          minServerReplicas: 1,
          pools: ['burst'],
          quietHours: [{ from: '02:00', to: '02:01', timeZone: 'Europe/Berlin' }],
          ...(at % 4 < 2 && { spend }),
        },
      })
    }),
  )
}

/** What runs, as the ledger has it, and ten records a workload of what has ended this month. */
const records: readonly SpendRecord[] = [
  ...pods
    .filter(({ spec }) => spec?.nodeName?.startsWith('burst'))
    .flatMap((pod): SpendRecord[] => {
      const rate = rateOfPod(pod, book, nowMs)
      const { namespace = '', labels = {}, uid = '' } = pod.metadata ?? {}
      const spent = { hour: 1000n, day: 1000n, month: 1000n }
      return rate
        ? [{ namespace, labels, pool: 'burst', currency: rate.currency, spent, open: { uid, rate } }]
        : []
    }),
  ...Array.from({ length: workloadCount * 10 }, (_, at): SpendRecord => {
    const { namespace = '', labels = {} } = podOf(at % workloadCount, 0).metadata ?? {}
    return {
      namespace,
      labels,
      pool: 'burst',
      currency: book.currency,
      spent: { hour: 0n, day: 1000n, month: 1000n },
    }
  }),
]

function rulesWith(facts: BurstFacts | undefined): OverflowRules {
  const bursts = facts && { facts: () => facts, subscribe: () => () => undefined, tellHeld: () => undefined }
  return {
    ...defaultOverflowRules,
    pools: [{ name: 'burst', refuses: () => undefined, rate: (pod, atMs) => rateOfPod(pod, book, atMs) }],
    ...(bursts && { bursts }),
  }
}

/** As Overflow.round, without the writes. */
function overflowPass(rules: OverflowRules): readonly HeldBy[] {
  const objects = { pods, nodes, namespaces: [], services: [] }
  const refused = refusedPods(pods)
  const now = { rules, nowWallMs: nowMs }
  let picture = overflowPicture(objects, { refused, ...now })
  const held: HeldBy[] = []
  let sent = 0
  for (const pod of refused) {
    const decision = decideOverflow(pod, picture, rules, { nowWallMs: nowMs, nominatedSinceMs: undefined })
    if (decision.kind === 'send') {
      picture = withSentPod(picture, { pod, pool: decision.pool }, now)
      sent += 1
      if (sent === mostSentAtOnce) break
    } else if (decision.heldBy) held.push(decision.heldBy)
  }
  return held
}

/** As PolicyKeeper.pass, without the writes. */
function statusPass(facts: BurstFacts, held: readonly HeldBy[]): void {
  const objects = { pods, nodes, namespaces: new Map(), pools: rulesWith(undefined).pools }
  const tallies = tallyOf(burstPictureOf(facts, { ...objects, nowMs }), objects, held)
  for (const policy of facts.policies ?? []) {
    const tally = tallies.get(policy.uid)
    if (tally) burstStatus(policy, tally, { pools: ['burst'], previous: undefined, nowWallMs: nowMs })
  }
}

function timed(pass: () => void): { p50: number; p95: number; first: number } {
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const beganMs = systemClock.monotonicMs()
    pass()
    times.push(systemClock.monotonicMs() - beganMs)
  }
  const first = times[0] ?? 0
  return { p50: percentile(times, 0.5), p95: percentile(times, 0.95), first }
}

function factsWith(maxVirtualReplicas: number): BurstFacts {
  return { policies: policiesWith(maxVirtualReplicas), spend: { atMs: nowMs, records }, gone: [] }
}

/** Two of each workload are out: with three allowed as many are sent as one pass sends, with two each is judged and held. */
const [sending, holding] = [factsWith(3), factsWith(2)]
const held = overflowPass(rulesWith(holding))
const results = {
  'overflow, no policies': timed(() => overflowPass(rulesWith(undefined))),
  [`overflow, ${policyCount} policies, ${mostSentAtOnce} sent`]: timed(() =>
    overflowPass(rulesWith(sending)),
  ),
  [`overflow, ${policyCount} policies, ${held.length} held`]: timed(() => overflowPass(rulesWith(holding))),
  [`statuses of ${policyCount} policies`]: timed(() => statusPass(holding, held)),
}
const workloads = new Set(pods.map((pod) => `${pod.metadata?.namespace}/${workloadOf(pod).name}`)).size
if (flags.json) process.stdout.write(`${JSON.stringify({ workloads, pods: pods.length, results })}\n`)
else {
  process.stdout.write(
    `${workloads} workloads, ${pods.length} Pods, ${records.length} records of spend, ${rounds} passes\n`,
  )
  const columns = [
    { title: 'one pass' },
    { title: 'first', right: true },
    { title: 'p50', right: true },
    { title: 'p95', right: true },
  ]
  const rows = Object.entries(results).map(([name, { first, p50, p95 }]) => [
    name,
    ...[first, p50, p95].map((ms) => `${ms.toFixed(1)} ms`),
  ])
  process.stdout.write(formatTable(columns, rows))
}
const worst = Math.max(...Object.values(results).map(({ p50 }) => p50))
if (worst > targetMs) {
  process.stderr.write(`p50 of ${worst.toFixed(1)} ms is over ${targetMs} ms\n`)
  process.exitCode = 3
}
