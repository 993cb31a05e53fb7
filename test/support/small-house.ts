import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { ExplainQuery, ExplainView } from '../../src/console/api/contract.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { clusterRoleBindings, clusterRoles } from '../../src/dev-cluster/spillway-identity.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import type { ObjectStore } from '../../src/kube/store.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { KubeObject, Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { applyAdmission } from './admission.ts'
import { startTestControlPlane } from './control-plane.ts'
import {
  follow,
  startFakeKubelets,
  startServer,
  type FakeKubelets,
  type TestClient,
} from './small-cluster.ts'
import { until } from './until.ts'

export interface SmallHouseOptions {
  readonly servers: readonly {
    readonly name: string
    readonly cpu: string
    readonly labels?: Record<string, string>
    /** As `nvidia.com/gpu`. */
    readonly extended?: Record<string, string>
  }[]
  /** Pools of the configuration, on a simulator; one node each. */
  readonly pools: readonly { readonly name: string; readonly [field: string]: unknown }[]
  /** More of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Of Pods on servers. */
  readonly kubelets?: Omit<FakeKubelets, 'pods'>
}

/** All of Spillway on a real control plane, with simulated Pods: on virtual nodes its own, on servers fake kubelets'. */
export interface SmallHouse extends AsyncDisposable {
  /** The cluster's administrator. */
  readonly api: TestClient
  readonly pods: ObjectStore<Pod>
  readonly signal: AbortSignal
  /** Ends Spillway and lets its Pods be. */
  stop(): Promise<void>
  /** Starts it (anew, if need be), with other configuration if there is some. Does nothing when it runs with that one. */
  start(config?: Readonly<Record<string, unknown>>): Promise<void>
  explain(query: ExplainQuery): Promise<ExplainView>
  /** Of its admin API. */
  ask(path: string, query: Readonly<Record<string, string>>): Promise<unknown>
}

export async function startSmallHouse(options: SmallHouseOptions): Promise<SmallHouse> {
  const ending = new AbortController()
  const { signal } = ending
  const nodeNames = options.pools.map(({ name }) => `${name}-0`)
  const plane = await startTestControlPlane({ virtualNodes: nodeNames })
  const folder = mkdtempSync(join(tmpdir(), 'sw-'))
  const { admin, spillway } = plane.controlPlane
  const world = { clock: systemClock, log: silentLog(), random: Math.random, environment: process.env }
  const api = createKubeClient({ ...world, credentials: explicitCredentials(admin), userAgent: 'journey' })
  await spillway.publish(api, signal)
  await applyAdmission(api, signal)
  await grantMoveBack(api, signal)
  for (const server of options.servers) await startServer(api, { memory: '8Gi', ...server }, signal)
  const store = follow(api, pods, signal)
  const owns = (pod: Pod): boolean =>
    !nodeNames.includes(pod.spec?.nodeName ?? '') && (options.kubelets?.owns?.(pod) ?? true)
  startFakeKubelets(api, { ...options.kubelets, pods: store, owns }, signal)

  const certificates = spillway.nodes.get(nodeNames[0] ?? '')
  const ofNode = (path = ''): string => path.replace(nodeNames[0] ?? '', '{node}')
  const [webhookPort, firstPort = 0] = await findFreePorts(1 + nodeNames.length)
  const file = join(folder, 'spillway.yaml')
  let running:
    { readonly app: Promise<void>; readonly end: AbortController; readonly config: unknown } | undefined
  let failure: unknown
  const stop = async (): Promise<void> => {
    running?.end.abort()
    await running?.app.catch(() => undefined)
    running = undefined
  }
  const start = async (config = options.config): Promise<void> => {
    if (running && running.config === config) return
    await stop()
    const written = {
      clusterName: 'journey',
      kubeconfig: spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort, servingCertificate: 'self-signed' },
      nodeIdentity: {
        clientCertificate: ofNode(certificates?.certFile),
        clientKey: ofNode(certificates?.keyFile),
      },
      admissionWebhook: { port: webhookPort },
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: options.pools.map((pool) => ({ backend: 'local', ...pool })),
      ...config,
    }
    writeFileSync(file, stringify(written))
    const end = new AbortController()
    const app = runApp(loadConfig({ file, flags: {}, environment: {} }), world, end.signal)
    failure = undefined
    app.catch((error: unknown) => (failure = error))
    running = { app, end, config }
    const isUp = async (): Promise<boolean> => {
      if (failure !== undefined) throw failure
      return existsSync(join(folder, 'admin.sock')) && (await allOpen(api, signal))
    }
    await until('all nodes take Pods', isUp, signal)
  }
  await start()
  return {
    api,
    pods: store,
    signal,
    stop,
    start,
    explain: async (body) => {
      if (failure !== undefined) throw failure
      return (await askAdmin(
        { target: join(folder, 'admin.sock') },
        '/v1/explain',
        { body },
        signal,
      )) as ExplainView
    },
    ask: (path, query) => askAdmin({ target: join(folder, 'admin.sock') }, path, query, signal),
    [Symbol.asyncDispose]: async () => {
      await stop()
      ending.abort()
      await api.close()
      await plane[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function allOpen(api: TestClient, signal: AbortSignal): Promise<boolean> {
  const { items } = await api.list(nodes, {}, signal)
  return (
    items.some(({ metadata }) => metadata?.labels?.['type'] === 'virtual-kubelet') &&
    items.every(
      ({ spec }) => !spec?.taints?.some(({ key }) => /^(node\.kubernetes\.io|spillway\.dev\/back)/.test(key)),
    )
  )
}

async function grantMoveBack(api: TestClient, signal: AbortSignal): Promise<void> {
  const file = join(import.meta.dirname, '../../deploy/move-back.yaml')
  for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
    const object = document.toJS() as KubeObject
    await api.create<KubeObject>(
      object.kind === 'ClusterRole' ? clusterRoles : clusterRoleBindings,
      object,
      signal,
    )
  }
}
