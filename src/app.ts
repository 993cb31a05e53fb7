import { serveAdmin } from './app/admin.ts'
import { admissionWebhook } from './app/admission-webhook.ts'
import { buildBackend, type BackendStack } from './app/backend-stack.ts'
import { budgetDesk } from './app/budgets.ts'
import { burstTasks, liveBursts } from './app/burst-policies.ts'
import type { House, World } from './app/house.ts'
import { openHouseLedger } from './app/house-ledger.ts'
import { nodesVoice } from './app/nodes-voice.ts'
import { approvalTasks } from './app/node-certificates.ts'
import { meteredNode } from './app/metered-node.ts'
import { poolTasks } from './app/pool-tasks.ts'
import { reconcileTask } from './app/reconcile.ts'
import { schedulingTasks } from './app/scheduling-tasks.ts'
import { VirtualNodes } from './app/virtual-nodes.ts'
import { knownPriceBooks } from './billing/known-price-books.ts'
import { openMeter } from './billing/meter.ts'
import type { Config } from './config/load.ts'
import { defaultBackoff, jitteredBackoff } from './control/backoff.ts'
import { runTasks } from './control/tasks.ts'
import { connectCluster, type Cluster } from './kube/cluster.ts'
import { controllerCredentials } from './kube/controller-credentials.ts'
import { EventRecorder } from './kube/events.ts'
import { createStrangerLimits } from './kubelet-api/stranger-limits.ts'
import { version } from './model/version.ts'
import { ClockSteps } from './app/clock-steps.ts'
import { LiveVolumes } from './scheduling/live-volumes.ts'
import { KnownPools } from './pools/known-pools.ts'

/**
 * Is the virtual nodes of a configuration until the signal is aborted, then resolves and leaves their Pods running.
 * Rejects when it cannot begin (ConfigInvalid, Environment, LedgerUnavailable, Unavailable), or when another Spillway has
 * taken over its ledger. The one place that knows every room: it builds them from the ground up, hands each what it asks
 * for, and runs them side by side.
 */
export async function runApp(config: Config, world: World, signal: AbortSignal): Promise<void> {
  await using ground = new AsyncDisposableStack()
  const books = knownPriceBooks(config.priceBooks)
  const cluster = await connect(config, world, ground, signal)
  const { whileOurs, ...ledgers } = await openHouseLedger(config, world, cluster.uid)
  const { ledger } = ledgers
  ground.defer(() => ledger.close())
  const events = new EventRecorder({
    api: cluster.api,
    component: 'spillway',
    instance: config.clusterName,
    ...world,
  })
  const pools = knownPools(config, world, cluster, books)
  const meter = await openMeter(
    {
      ledger,
      books: [...books.values()],
      clusterUid: cluster.uid,
      clock: world.clock,
      log: world.log,
      nodeFacts: (node) => meteredNode(pools, node),
      // Burst policies of later days select by labels that nobody knows of yet.
      labels: 'all',
      // The machine's containerd, or a simulator in this process.
      backendsShareClock: true,
    },
    signal,
  )
  const bursts = liveBursts({ world, cluster, ledger, pools })
  const backoff = jitteredBackoff(defaultBackoff, world.random)
  const volumes = new LiveVolumes({ api: cluster.api, backoff, ...world })
  const shared = { meter, books, events, pools, bursts, volumes, ground }
  const clockSteps = new ClockSteps(world)
  const strangerLimits = createStrangerLimits(world)
  const house: House = { config, world, cluster, clockSteps, strangerLimits, ...ledgers, ...shared }
  const stacks: BackendStack[] = []
  for (const backend of config.backends) stacks.push(await buildBackend(house, backend.name, signal))
  const budgets = budgetDesk(house, stacks)
  const virtualNodes = new VirtualNodes(house, stacks, budgets)
  await serveAdmin(house, stacks, virtualNodes, budgets)
  world.log.info({ cluster: config.clusterName, version }, 'spillway is up')
  await runTasks(
    {
      cluster: (inner) => cluster.run(inner),
      'ledger claim': whileOurs,
      ...schedulingTasks(house, stacks),
      'admission webhook': admissionWebhook(house),
      ...burstTasks(house, stacks),
      ...budgets.tasks,
      ...poolTasks(house, stacks, virtualNodes, budgets),
      ...(await approvalTasks(house, virtualNodes.addresses, signal)),
      ...Object.assign({}, ...stacks.map(({ tasks }) => tasks)),
      'comparison of the ledger': reconcileTask(house, stacks, virtualNodes),
      'check of the ledger': (inner) => ledgers.selfCheck.run(inner),
      'wall clock': (inner) => clockSteps.run(inner),
      'events of all nodes': nodesVoice(house, virtualNodes),
      events: (inner) => events.run(inner),
    },
    signal,
  )
}

function knownPools(
  config: Config,
  { clock, log, random }: World,
  { api }: Cluster,
  priceBooks: House['books'],
): KnownPools {
  return new KnownPools({
    filePools: config.pools,
    backends: config.backends.map(({ name }) => name),
    priceBooks,
    instance: config.clusterName,
    api,
    clock,
    backoff: jitteredBackoff(defaultBackoff, random),
    log,
  })
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
