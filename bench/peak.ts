/**
 * Many Pods that no server takes: what one more waits between the scheduler's refusal and its node while they stay in the
 * queue, and how long until the last one is Running when all may go at once. API server, scheduler and Spillway are real;
 * the containers are not. `npm run bench:peak`, no root needed. Exit code 3 when the target is missed.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { runApp } from '../src/app.ts'
import { formatTable } from '../src/cli/table.ts'
import { loadConfig } from '../src/config/load.ts'
import { defaultBackoff, jitteredBackoff } from '../src/control/backoff.ts'
import { getBinaries } from '../src/dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../src/dev-cluster/cache-dir.ts'
import { startControlPlane, type ControlPlane } from '../src/dev-cluster/control-plane.ts'
import { findFreePorts } from '../src/dev-cluster/free-ports.ts'
import { createTerminalProgress } from '../src/dev-cluster/progress.ts'
import { createKubeClient } from '../src/kube/client.ts'
import { explicitCredentials } from '../src/kube/credentials.ts'
import type { KubeApi } from '../src/kube/api.ts'
import { nodes } from '../src/kube/resources.ts'
import { systemClock } from '../src/model/clock.ts'
import type { Pod } from '../src/model/kubernetes.ts'
import { silentLog } from '../src/telemetry/log.ts'
import type { PodTimeline } from '../src/cli/demo/pod-timeline.ts'
import { percentile } from './percentile.ts'
import { benchNamespace, PodWatch } from './pod-watch.ts'

const { values: flags } = parseArgs({
  options: {
    pods: { type: 'string', default: '1000' },
    'virtual-nodes': { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
})
const podCount = Number(flags.pods)
const nodeCount = Number(flags['virtual-nodes'])
/** Of one more beside those that wait. */
const targetMs = 300
const oneByOne = 20

const world = { clock: systemClock, environment: process.env, random: Math.random, log: silentLog() }
const ending = new AbortController()
const { signal } = ending
process.once('SIGINT', () => ending.abort())

async function startPlane(stateDir: string, names: readonly string[]): Promise<ControlPlane> {
  const invoker = await findInvoker(process.env, process.getuid?.() ?? 0, signal)
  const places = {
    cacheDir: userCacheDir(process.env, invoker),
    environment: process.env,
    invoker,
    progress: createTerminalProgress(process.stderr, systemClock),
  }
  const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const
  const binaries = await getBinaries(programs, places, signal)
  return await startControlPlane({ ...world, binaries, stateDir, virtualNodes: names }, signal)
}

async function writeConfig(folder: string, { spillway }: ControlPlane, first: string): Promise<string> {
  const [firstPort = 0] = await findFreePorts(nodeCount)
  const [any] = spillway.nodes.values()
  const file = join(folder, 'spillway.yaml')
  const perNode = Math.ceil(podCount / nodeCount) + 10
  const config = {
    clusterName: 'peak',
    kubeconfig: spillway.kubeconfig,
    state: folder,
    run: folder,
    logLevel: 'warn',
    nodeApi: { address: '127.0.0.1', firstPort, servingCertificate: 'self-signed' },
    nodeIdentity: {
      clientCertificate: any?.certFile.replace(first, '{node}'),
      clientKey: any?.keyFile.replace(first, '{node}'),
    },
    backends: [{ name: 'simulated', kind: 'simulator' }],
    pools: [{ name: 'burst', backend: 'simulated', replicas: nodeCount, capacity: { pods: perNode } }],
  }
  await writeFile(file, stringify(config))
  return file
}

async function nodesOpen(api: KubeApi): Promise<void> {
  for (;;) {
    const { items } = await api.list(nodes, {}, signal)
    const open = items.filter(
      ({ spec }) => !spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')),
    )
    if (open.length === nodeCount) return
    await systemClock.sleep(100, signal)
  }
}

function peakPod(name: string, labels: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace: benchNamespace, labels },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'registry.k8s.io/pause:3.10.2',
          resources: { requests: { cpu: '100m', memory: '64Mi' } },
        },
      ],
    },
  }
}

type Rows = Readonly<Record<string, number>>

/** Beside Pods that were refused and stay, since their label keeps them in. */
async function measureBeside(watch: PodWatch): Promise<Rows> {
  const stay = Array.from({ length: podCount }, (_, index) => `stays-${index}`)
  const kept = { 'spillway.dev/placement': 'server' }
  // The namespace is furnished once the first is taken.
  for (const some of [stay.slice(0, 1), stay.slice(1)]) {
    await Promise.all(some.map(async (name) => await watch.create(peakPod(name, kept), signal)))
  }
  await watch.until(stay, ({ unschedulableMs }) => unschedulableMs !== undefined, signal)
  const waits: number[] = []
  for (let round = 0; round < oneByOne; round += 1) {
    const name = `one-${round}`
    await watch.create(peakPod(name), signal)
    const seen = await watch.until([name], ({ boundMs }) => boundMs !== undefined, signal)
    waits.push(...seen.map(waitOf))
  }
  await watch.remove(stay, signal)
  return {
    [`beside ${podCount} that stay: Unschedulable → bound, p50, ms`]: percentile(waits, 0.5),
    [`beside ${podCount} that stay: Unschedulable → bound, p90, ms`]: percentile(waits, 0.9),
  }
}

/** One that the watch shows refused and bound at once waited for nothing that could be seen. */
function waitOf({ unschedulableMs, boundMs = NaN }: PodTimeline): number {
  return boundMs - (unschedulableMs ?? boundMs)
}

async function measurePeak(watch: PodWatch): Promise<Rows> {
  const names = Array.from({ length: podCount }, (_, index) => `peak-${index}`)
  const beganMs = systemClock.monotonicMs()
  await Promise.all(names.map(async (name) => await watch.create(peakPod(name), signal)))
  const createdMs = systemClock.monotonicMs() - beganMs
  const seen = await watch.until(names, ({ readyMs }) => readyMs !== undefined, signal)
  const allMs = Math.max(...seen.map(({ readyMs = NaN }) => readyMs)) - beganMs
  return {
    [`${podCount} at once: all created after, ms`]: createdMs,
    [`${podCount} at once: all Ready after, ms`]: allMs,
    [`${podCount} at once: Pods a second`]: (podCount * 1000) / allMs,
    [`${podCount} at once: Unschedulable → bound, p50, ms`]: percentile(seen.map(waitOf), 0.5),
  }
}

await using ground = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'spillway-'))
ground.defer(() => rm(folder, { recursive: true, force: true }))
const names = Array.from({ length: nodeCount }, (_, ordinal) => `burst-${ordinal}`)
const plane = await startPlane(join(folder, 'plane'), names)
ground.defer(() => plane.stop(new AbortController().signal))
const admin = createKubeClient({
  ...world,
  credentials: explicitCredentials(plane.admin),
  userAgent: 'bench',
})
ground.defer(() => admin.close())
await plane.spillway.publish(admin, signal)
const file = await writeConfig(folder, plane, names[0] ?? '')
const running = new AbortController()
const app = runApp(loadConfig({ file, flags: {}, environment: {} }), world, running.signal)
ground.defer(async () => {
  running.abort()
  await app
})
await nodesOpen(admin)
const watch = new PodWatch(admin)
ground.defer(() => watch.close())
await watch.open(jitteredBackoff(defaultBackoff, Math.random), signal)
const beside = await measureBeside(watch)
const rows = { ...beside, ...(await measurePeak(watch)) }
if (flags.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
else {
  const cells = Object.entries(rows).map(([what, value]) => [what, value.toFixed(0)])
  process.stdout.write(
    formatTable([{ title: `${nodeCount} virtual nodes` }, { title: '', right: true }], cells),
  )
}
// Written so that a missing number (NaN) is a miss.
if (!((Object.values(beside)[0] ?? NaN) <= targetMs)) process.exitCode = 3
