/**
 * What a sandbox costs, by handler: how long a Pod takes from bind to Ready beside the runtime's own floor for the same
 * three calls, and what memory and CPU it takes besides its containers: `npm run bench:sandbox`.
 * Exit code 3 when a target is missed.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CriClient } from '../src/backends/cri/runtime/client.ts'
import { formatTable } from '../src/cli/table.ts'
import { runtimeClasses } from '../src/kube/resources.ts'
import { systemClock } from '../src/model/clock.ts'
import { hasCode } from '../src/model/errors.ts'
import { openBenchCluster, type BenchCluster } from './bench-cluster.ts'
import { floorMs } from './cri-floor.ts'
import { percentile } from './percentile.ts'
import { benchPod, PodWatch } from './pod-watch.ts'
import { sandboxCost, type SandboxCost } from './sandbox-cost.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '12' },
    pods: { type: 'string', default: '10' },
    'idle-seconds': { type: 'string', default: '30' },
    name: { type: 'string', default: 'bench' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const handlers = ['runsc', 'runc'] as const
type Handler = (typeof handlers)[number]
const mostOverFloorMs = 60

interface Row {
  readonly handler: Handler
  readonly floorMs: number
  readonly readyMs: number
  readonly cost: SandboxCost
}

const classOf = (handler: Handler): string => `bench-${handler}`

/** Without overhead: what a sandbox takes is to be measured, not given. */
async function publishClasses({ api }: BenchCluster, signal: AbortSignal): Promise<void> {
  for (const handler of handlers) {
    try {
      await api.create(runtimeClasses, { metadata: { name: classOf(handler) }, handler }, signal)
    } catch (error) {
      if (!hasCode(error, 'Conflict')) throw error
    }
  }
}

/** In turn, so that what else the machine does meets all alike; the first round brings image and caches in. */
async function starts(
  { watch, client, dir }: { readonly watch: PodWatch; readonly client: CriClient; readonly dir: string },
  signal: AbortSignal,
) {
  const floors = new Map<Handler, number[]>(handlers.map((handler) => [handler, []]))
  const readies = new Map<Handler, number[]>(handlers.map((handler) => [handler, []]))
  for (let round = 0; round <= Number(flags.rounds); round += 1) {
    for (const handler of handlers) {
      const name = `start-${handler}-${round}`
      await watch.create(podOn(name, handler), signal)
      const [timeline] = await watch.until([name], ({ readyMs }) => readyMs !== undefined, signal)
      await watch.remove([name], signal)
      const floor = await floorMs({ client, handler, name, dir, clock: systemClock }, signal)
      const ready = (timeline?.readyMs ?? NaN) - (timeline?.boundMs ?? NaN)
      process.stderr.write(
        `round ${round}, ${handler}: floor ${floor.toFixed(0)} ms, Ready ${ready.toFixed(0)} ms\n`,
      )
      if (round === 0) continue
      readies.get(handler)?.push(ready)
      floors.get(handler)?.push(floor)
    }
  }
  return { floors, readies }
}

function podOn(name: string, handler: Handler) {
  const pod = benchPod(name, { node: 'burst-0' })
  return {
    ...pod,
    spec: { ...pod.spec, containers: pod.spec?.containers ?? [], runtimeClassName: classOf(handler) },
  }
}

async function measure(bench: BenchCluster, signal: AbortSignal): Promise<readonly Row[]> {
  const watch = new PodWatch(bench.api)
  const client = new CriClient({ socket: bench.cluster.virtualContainerd.socket, clock: systemClock })
  try {
    await watch.open(bench.backoff, signal)
    await publishClasses(bench, signal)
    const { floors, readies } = await starts(
      { watch, client, dir: join(bench.cluster.stateDir, 'floor') },
      signal,
    )
    const rows: Row[] = []
    for (const handler of handlers) {
      const names = Array.from({ length: Number(flags.pods) }, (_, index) => `idle-${handler}-${index}`)
      await Promise.all(names.map((name) => watch.create(podOn(name, handler), signal)))
      await watch.until(names, ({ readyMs }) => readyMs !== undefined, signal)
      const idleSeconds = Number(flags['idle-seconds'])
      const cost = await sandboxCost(
        { client, names: new Set(names), idleSeconds, clock: systemClock },
        signal,
      )
      await watch.remove(names, signal)
      const p50 = (times: readonly number[] = []): number => percentile(times, 0.5)
      rows.push({ handler, floorMs: p50(floors.get(handler)), readyMs: p50(readies.get(handler)), cost })
    }
    return rows
  } finally {
    client.close()
    await watch.close()
  }
}

/** Of gVisor; runc has its target beside kubelet (`bench:pod-start`). Written so that a missing number (NaN) is a miss. */
function isMissed({ handler, floorMs: floor, readyMs }: Row): boolean {
  return handler === 'runsc' && !(readyMs - floor <= mostOverFloorMs)
}

function print(rows: readonly Row[]): void {
  const right = true
  const columns = [
    { title: 'handler' },
    { title: 'floor ms', right },
    { title: 'bind → Ready ms', right },
    { title: 'over it', right },
    { title: '' },
    { title: 'sandbox MiB', right },
    { title: 'at most', right },
    { title: 'shim MiB', right },
    { title: 'idle mCPU', right },
  ]
  const cells = rows.map((row) => [
    row.handler,
    row.floorMs.toFixed(0),
    row.readyMs.toFixed(0),
    (row.readyMs - row.floorMs).toFixed(0),
    row.handler === 'runc' ? '' : isMissed(row) ? `MISSED (≤ ${mostOverFloorMs})` : 'ok',
    row.cost.memoryMiB.toFixed(1),
    row.cost.mostMemoryMiB.toFixed(1),
    row.cost.shimMiB.toFixed(1),
    row.cost.idleMilliCores.toFixed(2),
  ])
  process.stdout.write(formatTable(columns, cells))
}

const abort = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => abort.abort())
{
  const { name, keep } = flags
  await using bench = await openBenchCluster({ name, serverCpu: 1, sandbox: 'gvisor', keep }, abort.signal)
  const rows = await measure(bench, abort.signal)
  if (flags.json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
  else print(rows)
  if (rows.some(isMissed)) process.exitCode = 3
}
