import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runApp } from '../../app.ts'
import { compileLedgerCheck } from '../../config/ledger.ts'
import type { Config } from '../../config/load.ts'
import { compilePool } from '../../config/pool.ts'
import type { StatusView } from '../../console/api/contract.ts'
import { defaultBackoff, jitteredBackoff } from '../../control/backoff.ts'
import { getBinaries } from '../../dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../../dev-cluster/cache-dir.ts'
import type { BinaryName } from '../../dev-cluster/components.ts'
import { startControlPlane, type ControlPlane } from '../../dev-cluster/control-plane.ts'
import { virtualNodeNames, virtualPoolName } from '../../dev-cluster/embedded-cluster.ts'
import { findFreePorts } from '../../dev-cluster/free-ports.ts'
import { connectCluster } from '../../kube/cluster.ts'
import { explicitCredentials } from '../../kube/credentials.ts'
import { silentLog } from '../../telemetry/log.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import type { EmbeddedStageOptions } from './embedded-stage.ts'
import { openStage, type OpenedStage } from './open-stage.ts'
import { runSimulatedServer } from './simulated-server.ts'
import { until } from './stage.ts'

const programs: readonly BinaryName[] = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
]
const serverName = 'server-0'

/** The story without root: API server, scheduler and controllers are real, the containers of all nodes are not. */
export async function openSimulatedStage(
  { claims, output }: EmbeddedStageOptions,
  context: CliContext,
): Promise<OpenedStage> {
  const { environment, processUid, progress } = devContext(context)
  const { clock, signal } = context
  const invoker = await findInvoker(environment, processUid, signal)
  const places = { cacheDir: userCacheDir(environment, invoker), environment, invoker, progress }
  const binaries = await getBinaries(programs, places, signal)
  await using ground = new AsyncDisposableStack()
  // Short: the admin socket's path below it has to stay under 100 characters.
  const stateDir = await mkdtemp(join(tmpdir(), 'spillway-'))
  ground.defer(() => rm(stateDir, { recursive: true, force: true }))
  const kubeconfig = await startWorld({ binaries, stateDir, ground }, context)
  const socket = join(stateDir, 'admin.sock')
  await until({ clock, signal }, { timeoutMs: 60_000 }, async () => await areNodesReady(socket, signal))
  output.line(
    `A real control plane without root; simulated: one server of 1 core (${serverName}), virtual nodes ${virtualNodeNames(2).join(', ')}.`,
  )
  const site = {
    kubeconfig,
    kubectl: binaries.get('kubectl') ?? 'kubectl',
    serverNode: serverName,
    simulated: true,
    traces: () => Promise.resolve([]),
    admin: (path: string, query: Readonly<Record<string, string>>) =>
      askAdmin({ target: socket }, path, query, signal),
    output,
    claims,
  }
  const opened = await openStage(site, context)
  const kept = ground.move()
  return {
    stage: opened.stage,
    close: async () => {
      await opened.close()
      await kept.disposeAsync()
    },
  }
}

interface WorldSite {
  readonly binaries: ReadonlyMap<BinaryName, string>
  readonly stateDir: string
  /** What is started is ended by it. */
  readonly ground: AsyncDisposableStack
}

/** Control plane, Spillway and the simulated server, side by side in this process. Answers with the kubeconfig. */
async function startWorld(
  { binaries, stateDir, ground }: WorldSite,
  { clock, environment, random, signal }: CliContext,
): Promise<string> {
  const common = { clock, environment, random, log: silentLog() }
  const plane = await startControlPlane(
    { ...common, binaries, stateDir: join(stateDir, 'plane'), virtualNodes: virtualNodeNames(2) },
    signal,
  )
  // Not with the command's signal: Ctrl-C ends the story, and the tidying up goes on after it.
  ground.defer(() => plane.stop(new AbortController().signal))
  const credentials = explicitCredentials(plane.admin)
  const backoff = jitteredBackoff(defaultBackoff, random)
  const cluster = await connectCluster(
    { ...common, credentials, userAgent: 'spillway (demo)', backoff },
    signal,
  )
  ground.defer(() => cluster.api.close())
  const running = new AbortController()
  const world = Promise.all([
    runApp(await simulatedConfig(plane, stateDir), common, running.signal),
    cluster.run(running.signal),
    runSimulatedServer({ ...common, name: serverName, cluster }, running.signal),
  ])
  ground.defer(async () => {
    running.abort()
    await world
  })
  return plane.kubeconfig
}

async function areNodesReady(socket: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { nodes } = (await askAdmin({ target: socket }, '/v1/status', {}, signal)) as StatusView
    return nodes.length === 2 && nodes.every(({ ready }) => ready)
  } catch {
    signal.throwIfAborted()
    return false // not up yet
  }
}

async function simulatedConfig({ spillway }: ControlPlane, stateDir: string): Promise<Config> {
  const [firstPort = 0] = await findFreePorts(2)
  const [anyNode] = spillway.nodes.values()
  const file = (path: string | undefined): string =>
    (path ?? '').replace(virtualNodeNames(1)[0] ?? '', '{node}')
  return {
    clusterName: 'simulated',
    kubeconfig: spillway.kubeconfig,
    stateDir,
    runDir: stateDir,
    ledgerCheck: compileLedgerCheck(),
    ledger: { kind: 'sqlite', file: join(stateDir, 'ledger.db') },
    logLevel: 'warn',
    nodeApi: {
      address: '127.0.0.1',
      firstPort,
      clientCa: spillway.caFile,
      servingCertificate: { kind: 'csr' },
    },
    nodeIdentity: {
      kind: 'certificate',
      clientCertificate: file(anyNode?.certFile),
      clientKey: file(anyNode?.keyFile),
    },
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    backends: [{ name: 'simulated', kind: 'simulator', options: {} }],
    priceBooks: [],
    pools: [compilePool({ name: virtualPoolName, replicas: 2, backend: 'simulated' })],
    admissionWebhook: { address: '127.0.0.1', port: 9443 },
    overflow: { enabled: true, deletionCost: -1000 },
    moveBack: {
      enabled: false,
      afterMs: 300_000,
      reservePercent: 10,
      perMinute: 6,
      giveUpMs: 300_000,
    },
  }
}
