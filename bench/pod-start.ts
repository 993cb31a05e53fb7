/**
 * How long a Pod takes from bind to Ready, on the real kubelet and on a virtual node of the same cluster, side by side in
 * one run: `npm run bench:pod-start`. Ratios are what counts; absolute times move with what else the machine does.
 * Exit code 3 when a target is missed.
 */
import { parseArgs } from 'node:util'
import { formatTable } from '../src/cli/table.ts'
import { nodes as nodeResource } from '../src/kube/resources.ts'
import { systemClock } from '../src/model/clock.ts'
import { parseCpuMillis } from '../src/model/quantity.ts'
import { openBenchCluster, type BenchCluster } from './bench-cluster.ts'
import { openAuditLog } from './audit-log.ts'
import { idleCost, type IdleCost } from './idle-cost.ts'
import { percentile } from './percentile.ts'
import { podRequests, sumOf, type PodRequests } from './pod-requests.ts'
import { benchPod, PodWatch } from './pod-watch.ts'
import { atOnce, oneByOne, overflow, type Nodes } from './start-times.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    burst: { type: 'string', default: '30' },
    'burst-rounds': { type: 'string', default: '2' },
    'idle-seconds': { type: 'string', default: '60' },
    name: { type: 'string', default: 'bench' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

interface Row {
  readonly what: string
  readonly kubelet: number | undefined
  readonly spillway: number
  /** The highest value that is good enough, of the ratio or else of Spillway's milliseconds. */
  readonly target: { readonly ratio: number } | { readonly ms: number } | undefined
}

function isMissed({ kubelet, spillway, target }: Row): boolean {
  if (!target) return false
  // Written so that a missing number (NaN) is a miss.
  if ('ms' in target) return !(spillway <= target.ms)
  return !(spillway / (kubelet ?? NaN) <= target.ratio)
}

async function measure(bench: BenchCluster, signal: AbortSignal): Promise<readonly Row[]> {
  const watch = new PodWatch(bench.api)
  const nodes = nodesOf(bench)
  const rounds = Number(flags.rounds)
  try {
    await watch.open(bench.backoff, signal)
    const one = await oneByOne(watch, nodes, rounds, signal)
    const count = Number(flags.burst)
    const many = await atOnce(watch, nodes, { rounds: Number(flags['burst-rounds']), count }, signal)
    const node = await bench.api.get(nodeResource, { name: nodes.server }, signal)
    const cpuMillis = Number(parseCpuMillis(node.status?.allocatable?.['cpu'] ?? '0'))
    const over = await overflow(watch, { name: nodes.server, cpuMillis }, rounds, signal)
    const median = (times: readonly number[]): number => percentile(times, 0.5)
    const all = (side: typeof many.kubelet): number => median(side.map(({ allMs }) => allMs))
    const half = (side: typeof many.kubelet): number => median(side.map(({ p50Ms }) => p50Ms))
    const row = (what: string, kubelet: number | undefined, spillway: number, target: Row['target']): Row => ({ what, kubelet, spillway, target }) // prettier-ignore
    const p90 = (times: readonly number[]): number => percentile(times, 0.9)
    return [
      row('bind → Ready, one by one, p50', median(one.kubelet), median(one.spillway), { ratio: 0.5 }),
      row('bind → Ready, one by one, p90', p90(one.kubelet), p90(one.spillway), undefined),
      row(`${count} at once, all Ready`, all(many.kubelet), all(many.spillway), { ratio: 1 }),
      row(`${count} at once, p50`, half(many.kubelet), half(many.spillway), { ratio: 1 }),
      row('Unschedulable → bound, p50', undefined, median(over), { ms: 500 }),
      row('Unschedulable → bound, p90', undefined, p90(over), undefined),
    ]
  } finally {
    await watch.close()
  }
}

interface Costs {
  readonly requests: PodRequests
  /** With ten Pods that do nothing on the virtual node. */
  readonly idle: IdleCost
}

async function measureCosts(bench: BenchCluster, signal: AbortSignal): Promise<Costs | undefined> {
  const seconds = Number(flags['idle-seconds'])
  if (seconds === 0) return undefined
  const watch = new PodWatch(bench.api)
  try {
    await watch.open(bench.backoff, signal)
    const audit = await openAuditLog(bench, signal)
    const nodes = nodesOf(bench)
    const requests = await podRequests(watch, audit, { nodes, count: 10 }, signal)
    const names = Array.from({ length: 10 }, (_, index) => `idle-${index}`)
    await Promise.all(names.map((name) => watch.create(benchPod(name, { node: nodes.virtual }), signal)))
    await watch.until(names, ({ readyMs }) => readyMs !== undefined, signal)
    await systemClock.sleep(10_000, signal)
    const idle = await idleCost(bench, audit, seconds, signal)
    await watch.remove(names, signal)
    return { requests, idle }
  } finally {
    await watch.close()
  }
}

function nodesOf({ cluster }: BenchCluster): Nodes {
  return { server: cluster.serverNode ?? 'server-0', virtual: 'burst-0' }
}

function printRows(rows: readonly Row[]): void {
  const columns = [
    { title: 'what' },
    { title: 'kubelet ms', right: true },
    { title: 'spillway ms', right: true },
    { title: 'ratio', right: true },
    { title: 'target', right: true },
    { title: '' },
  ]
  const cells = rows.map((row) => [
    row.what,
    row.kubelet?.toFixed(0) ?? '',
    row.spillway.toFixed(0),
    row.kubelet === undefined ? '' : (row.spillway / row.kubelet).toFixed(2),
    row.target === undefined ? '' : `≤ ${'ms' in row.target ? `${row.target.ms} ms` : row.target.ratio}`,
    row.target === undefined ? '' : isMissed(row) ? 'MISSED' : 'ok',
  ])
  process.stdout.write(formatTable(columns, cells))
}

function printIdle(idle: IdleCost): void {
  const processRows = Object.entries({ spillway: idle.spillway, kubelet: idle.kubelet }).map(
    ([name, { rssMegabytes, cpuSecondsPerMinute }]) => [
      name,
      rssMegabytes.toFixed(0),
      cpuSecondsPerMinute.toFixed(2),
    ],
  )
  const right = true
  process.stdout.write('\nIdle, ten Pods on burst-0:\n')
  process.stdout.write(
    formatTable(
      [{ title: 'process' }, { title: 'rss MB', right }, { title: 'cpu s/min', right }],
      processRows,
    ),
  )
  const agents = [...idle.requestsPerMinute].filter(([agent]) => /spillway|kubelet/.test(agent))
  const requestRows = agents
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([agent, counts]) => [
      agent,
      [...counts.values()].reduce((sum, count) => sum + count, 0).toFixed(1),
      [...counts].map(([what, count]) => `${what} ${count.toFixed(1)}`).join(', '),
    ])
  process.stdout.write('\n')
  process.stdout.write(
    formatTable([{ title: 'client' }, { title: 'requests/min', right }, { title: 'of which' }], requestRows),
  )
}

function printRequests({ kubelet, spillway }: PodRequests): void {
  const right = true
  const rows = Object.entries({ spillway, kubelet }).map(([name, counts]) => [
    name,
    sumOf(counts).toFixed(1),
    [...counts].map(([what, count]) => `${what} ${count.toFixed(1)}`).join(', '),
  ])
  process.stdout.write('\nAPI requests of one Pod, from bind to gone:\n')
  process.stdout.write(
    formatTable([{ title: 'client' }, { title: 'requests', right }, { title: 'of which' }], rows),
  )
}

const abort = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => abort.abort())
{
  const { name, keep } = flags
  await using bench = await openBenchCluster({ name, serverCpu: 2, sandbox: 'runc', keep }, abort.signal)
  const rows = await measure(bench, abort.signal)
  if (!flags.json) printRows(rows)
  const costs = await measureCosts(bench, abort.signal)
  if (costs && !flags.json) {
    printRequests(costs.requests)
    printIdle(costs.idle)
  }
  if (flags.json) {
    // Maps are no JSON.
    const readable = (_key: string, value: unknown): unknown =>
      value instanceof Map ? (Object.fromEntries(value) as unknown) : value
    process.stdout.write(`${JSON.stringify({ rows, ...costs }, readable, 2)}\n`)
  }
  const asksMore = costs && sumOf(costs.requests.spillway) > sumOf(costs.requests.kubelet)
  if (rows.some(isMissed) || asksMore) process.exitCode = 3
}
