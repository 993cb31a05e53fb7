import { join } from 'node:path'
import { serveAdmin } from './app/admin.ts'
import { buildBackend, type BackendStack } from './app/backend-stack.ts'
import type { House, World } from './app/house.ts'
import { approvalTasks } from './app/node-certificates.ts'
import { metered, nodeNames } from './app/pool-nodes.ts'
import { schedulingTasks } from './app/scheduling-tasks.ts'
import { openMeter } from './billing/meter.ts'
import { shippedPriceBooks } from './billing/shipped-price-books.ts'
import { openSqliteLedger } from './billing/store/sqlite.ts'
import type { Config } from './config/load.ts'
import { defaultBackoff, jitteredBackoff } from './control/backoff.ts'
import { runTasks } from './control/tasks.ts'
import { connectCluster, type Cluster } from './kube/cluster.ts'
import { controllerCredentials } from './kube/controller-credentials.ts'
import { EventRecorder } from './kube/events.ts'
import { version } from './model/version.ts'

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
      ...(await approvalTasks(house, signal)),
      ...Object.assign({}, ...stacks.map(({ tasks }) => tasks)),
      events: (inner) => events.run(inner),
    },
    signal,
  )
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
