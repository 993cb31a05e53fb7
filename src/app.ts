import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Backend } from './backends/backend.ts'
import { createBackend } from './backends/registry.ts'
import { BillingReader } from './billing/billing-reader.ts'
import type { LedgerStore } from './billing/ledger.ts'
import { openMeter, type LedgerMeter } from './billing/meter.ts'
import { shippedPriceBooks } from './billing/shipped-price-books.ts'
import { openSqliteLedger } from './billing/store/sqlite.ts'
import type { Config, PoolConfig } from './config/load.ts'
import { startAdminServer } from './console/api/admin-server.ts'
import { readModel } from './console/api/read-model.ts'
import { defaultBackoff, jitteredBackoff } from './control/backoff.ts'
import { runTasks, type Task } from './control/tasks.ts'
import type { KubeApi } from './kube/api.ts'
import { createKubeClient } from './kube/client.ts'
import { connectCluster, type Cluster } from './kube/cluster.ts'
import { controllerCredentials } from './kube/controller-credentials.ts'
import { EventRecorder } from './kube/events.ts'
import { reviewAuthenticator, reviewAuthorizer } from './kubelet-api/auth.ts'
import { startNodeApi } from './kubelet-api/node-api.ts'
import { openServingCertificate } from './kubelet-api/open-serving-certificate.ts'
import { isTerminal } from './lifecycle/decide.ts'
import { featuresOf } from './lifecycle/features.ts'
import type { Clock } from './model/clock.ts'
import type { Pod } from './model/kubernetes.ts'
import { podRef } from './model/pod-key.ts'
import { version } from './model/version.ts'
import { BackendWatch } from './node/backend-watch.ts'
import { nodeCapacity } from './node/capacity.ts'
import { nodeCredentials, nodeFile } from './node/identity.ts'
import { keepNode } from './node/keep-node.ts'
import { virtualNodeName } from './node/node-object.ts'
import { thisPlace } from './node/place.ts'
import { BackendPods } from './pods/backend-pods.ts'
import type { PodEventSink } from './pods/pod-worker.ts'
import { defaultOverflowRules, runOverflow } from './scheduling/overflow.ts'
import { runScaleIn } from './scheduling/scale-in.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'

/** What the house gets from the world around it. */
export interface World {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

/**
 * Is the virtual nodes of a configuration until the signal is aborted, then resolves and leaves their Pods running.
 * Rejects when it cannot begin (ConfigInvalid, Environment, LedgerUnavailable, Unavailable). The one place that knows
 * every room: it builds them from the ground up, hands each what it asks for, and runs them side by side.
 */
export async function runApp(config: Config, world: World, signal: AbortSignal): Promise<void> {
  await using ground = new AsyncDisposableStack()
  const cluster = await connect(config, world, ground, signal)
  const ledger = await openSqliteLedger({ file: join(config.stateDir, 'ledger.db') })
  ground.defer(() => ledger.close())
  const events = new EventRecorder({
    api: cluster.api,
    component: 'spillway',
    instance: config.clusterName,
    ...world,
  })
  const poolOfNode = new Map(config.pools.flatMap((pool) => nodeNames(pool).map((node) => [node, pool])))
  const meter = await openMeter(
    {
      ledger,
      books: shippedPriceBooks,
      clusterUid: cluster.uid,
      clock: world.clock,
      log: world.log,
      nodeFacts: (node) => metered(poolOfNode.get(node), node),
    },
    signal,
  )
  const house: House = { config, world, cluster, ledger, meter, events, ground }
  const stacks: BackendStack[] = []
  for (const backend of config.backends) stacks.push(await buildBackend(house, backend.name, signal))
  await serveAdmin(house, stacks)
  world.log.info({ cluster: config.clusterName, nodes: poolOfNode.size, version }, 'spillway is up')
  await runTasks(
    {
      cluster: (inner) => cluster.run(inner),

      ...schedulingTasks(house, stacks),
      ...stackTasks(stacks),
      events: (inner) => events.run(inner),
    },
    signal,
  )
}

/** Everything that is there once. */
interface House {
  readonly config: Config
  readonly world: World
  readonly cluster: Cluster
  readonly ledger: LedgerStore
  readonly meter: LedgerMeter
  readonly events: EventRecorder
  /** Closed in reverse when the house comes down. */
  readonly ground: AsyncDisposableStack
}

/** One backend, and all that stands on it. */
interface BackendStack {
  readonly name: string
  readonly backend: Backend
  readonly watch: BackendWatch
  readonly pods: BackendPods
  readonly tasks: Readonly<Record<string, Task>>
}

async function connect(
  config: Config,
  world: World,
  ground: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Cluster> {
  const { clock, environment, random } = world
  const credentials = await controllerCredentials(
    { kubeconfig: config.kubeconfig, environment, clock },
    signal,
  )
  const backoff = jitteredBackoff(defaultBackoff, random)
  const cluster = await connectCluster(
    { credentials, userAgent: `spillway/${version}`, backoff, ...world },
    signal,
  )
  ground.defer(() => cluster.api.close())
  return cluster
}

async function buildBackend(house: House, name: string, signal: AbortSignal): Promise<BackendStack> {
  const { config, world, cluster, meter, events, ground } = house
  const settings = config.backends.find((candidate) => candidate.name === name)
  const owner = { clusterUid: cluster.uid, instance: config.clusterName }
  const backend = await createBackend({
    name,
    kind: settings?.kind ?? '',
    options: settings?.options,
    owner,
    ...world,
  })
  ground.defer(() => backend.close())
  const watch = new BackendWatch({ backend, clock: world.clock })
  const recordEvent: PodEventSink = (pod, event) =>
    events.record({
      object: { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) },
      instance: pod.spec?.nodeName ?? '',
      ...event,
    })
  const backoff = jitteredBackoff(defaultBackoff, world.random)
  const backendPods = new BackendPods({
    backend,
    api: cluster.api,
    services: cluster.services,
    meter,
    recordEvent,
    backoff,
    ...world,
  })
  const stack: BackendStack = { name, backend, watch, pods: backendPods, tasks: {} }
  const tasks: Record<string, Task> = { [`health of ${name}`]: (inner) => watch.run(inner) }
  const pools = config.pools.filter((pool) => pool.backend === name)
  const total = pools.reduce((sum, { replicas }) => sum + replicas, 0)
  const capacity = await backend.capacity(signal)
  for (const pool of pools) {
    for (let ordinal = 0; ordinal < pool.replicas; ordinal += 1) {
      const place = { ordinal, capacity: nodeCapacity(pool, capacity, total) }
      tasks[`node ${virtualNodeName(pool.name, ordinal)}`] = await buildNode(
        house,
        stack,
        pool,
        place,
        signal,
      )
    }
  }
  tasks[`pods of ${name}`] = (inner) => backendPods.run(inner)
  return { ...stack, tasks }
}

interface PlaceInPool {
  readonly ordinal: number
  readonly capacity: ReturnType<typeof nodeCapacity>
}

async function buildNode(
  house: House,
  { backend, watch, pods: backendPods }: BackendStack,
  pool: PoolConfig,
  { ordinal, capacity }: PlaceInPool,
  signal: AbortSignal,
): Promise<Task> {
  const { config, world, cluster } = house
  const { clock, log, random } = world
  const name = virtualNodeName(pool.name, ordinal)
  const api = await connectNode(house, name, signal)
  const { address, firstPort } = config.nodeApi
  const port = firstPort + nodeIndex(config, name)
  backendPods.addNode({
    metered: metered(pool, name),
    facts: {
      name,
      ips: [address],
      clusterDns: config.clusterDns,
      clusterDomain: config.clusterDomain,
      allocatableCpuMillis: capacity.cpuMillis,
      allocatableMemoryBytes: capacity.memoryBytes,
    },
    api,
    node: () => cluster.nodes.get({ name }),
  })
  await serveNodeApi(house, { name, address, port, backend, backendPods }, signal)
  const versions = { server: cluster.serverVersion, spillway: version }
  const place = thisPlace({ address, port })
  return (inner) =>
    keepNode(
      {
        api,
        controllerApi: cluster.api,
        nodes: cluster.nodes,
        backend: watch,
        pool,
        ordinal,
        capacity,
        place,
        versions,
        clock,
        random,
        log: log.child({ node: name }),
      },
      inner,
    )
}

/** The API server, as the node. */
async function connectNode(
  { config, world, cluster, ground }: House,
  name: string,
  signal: AbortSignal,
): Promise<KubeApi> {
  const { clock, environment } = world
  const credentials = await nodeCredentials({
    identity: config.nodeIdentity,
    nodeName: name,
    controller: cluster.credentials,
    impersonate: (impersonate) =>
      controllerCredentials({ kubeconfig: config.kubeconfig, environment, clock, impersonate }, signal),
  })
  const api = createKubeClient({ credentials, userAgent: `spillway/${version} (node ${name})`, ...world })
  ground.defer(() => api.close())
  return api
}

interface ServedNodeApi {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly backend: Backend
  readonly backendPods: BackendPods
}

async function serveNodeApi(
  { config, world, cluster }: House,
  node: ServedNodeApi,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = world
  const { name, address, port, backend, backendPods } = node
  const identity = config.nodeIdentity.kind === 'certificate' ? config.nodeIdentity : undefined
  const { servingCertificate, servingKey } = identity ?? {}
  const files =
    servingCertificate && servingKey
      ? { certFile: nodeFile(servingCertificate, name), keyFile: nodeFile(servingKey, name) }
      : undefined
  const { clientCa } = config.nodeApi
  await startNodeApi(
    {
      nodeName: name,
      listen: { address, port },
      certificate: await openServingCertificate(
        { ...(files && { files }), nodeName: name, addresses: [address], clock, log },
        signal,
      ),
      ...(clientCa !== undefined && { clientCa: await readFile(clientCa, 'utf8') }),
      authenticator: reviewAuthenticator({ api: cluster.api, clock }),
      authorizer: reviewAuthorizer({ api: cluster.api, clock }),
      backend,
      pods: {
        find: (namespace, pod) => backendPods.podsOn(name).find(isNamed(namespace, pod)),
        list: () => backendPods.podsOn(name),
      },
      clock,
      log,
    },
    signal,
  )
}

function isNamed(namespace: string, name: string): (pod: Pod) => boolean {
  return ({ metadata }) => metadata?.namespace === namespace && metadata.name === name
}

function schedulingTasks(house: House, stacks: readonly BackendStack[]): Record<string, Task> {
  const { config, world, cluster, events } = house
  if (!config.overflow.enabled) return {}
  const { api, pods: allPods, nodes: allNodes, namespaces: allNamespaces, services: allServices } = cluster
  const overflowPools = config.pools.map((pool) => {
    const features = stacks.find(({ name }) => name === pool.backend)?.backend.capabilities().features
    return {
      name: pool.name,
      refuses: (pod: Pod) => {
        const missing = featuresOf(pod).find(({ feature }) => !features?.has(feature))
        return (
          missing && `${missing.field} needs ${missing.feature}, which backend ${pool.backend} does not offer`
        )
      },
    }
  })
  const rules = { ...defaultOverflowRules, pools: overflowPools }
  return {
    overflow: (inner) =>
      runOverflow(
        {
          api,
          pods: allPods,
          nodes: allNodes,
          namespaces: allNamespaces,
          services: allServices,
          rules,
          events,
          ...world,
        },
        inner,
      ),
    'scale-in': (inner) =>
      runScaleIn(
        { api, pods: allPods, nodes: allNodes, cost: config.overflow.deletionCost, ...world },
        inner,
      ),
  }
}

function stackTasks(stacks: readonly BackendStack[]): Record<string, Task> {
  return Object.assign({}, ...stacks.map(({ tasks }) => tasks)) as Record<string, Task>
}

async function serveAdmin(
  { config, world, cluster, ledger, events, ground }: House,
  stacks: readonly BackendStack[],
): Promise<void> {
  const podsOn = (node: string): readonly Pod[] =>
    stacks.flatMap(({ pods: backendPods }) => backendPods.podsOn(node))
  const metrics = createMetrics({
    podsByNode: () =>
      new Map(
        config.pools
          .flatMap(nodeNames)
          .map((node) => [node, podsOn(node).filter((pod) => !isTerminal(pod)).length]),
      ),
    openIntervals: async () => (await ledger.openIntervals(new AbortController().signal)).length,
    eventsDropped: () => events.dropped,
  })
  const server = await startAdminServer({
    socket: join(config.runDir, 'admin.sock'),
    model: readModel({
      clusterName: config.clusterName,
      pools: config.pools,
      nodes: cluster.nodes,
      podsOn,
      billing: new BillingReader(ledger, world.clock),
      metrics: () => metrics.metrics(),
      clock: world.clock,
    }),
    log: world.log,
  })
  ground.defer(() => server.close())
}

function nodeNames({ name, replicas }: PoolConfig): string[] {
  return Array.from({ length: replicas }, (_, ordinal) => virtualNodeName(name, ordinal))
}

function nodeIndex({ pools }: Config, name: string): number {
  return pools.flatMap(nodeNames).indexOf(name)
}

function metered(
  pool: PoolConfig | undefined,
  node: string,
): { pool: string; node: string; priceBook: string } {
  return { pool: pool?.name ?? '', node, priceBook: pool?.priceBook ?? 'tencent-eks-intl-2023-06-30' }
}
