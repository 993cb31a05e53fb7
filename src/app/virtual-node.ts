import type { Backend } from '../backends/backend.ts'
import type { PoolConfig } from '../config/pool.ts'
import { runTasks, type Task } from '../control/tasks.ts'
import type { KubeApi } from '../kube/api.ts'
import { createKubeClient } from '../kube/client.ts'
import { controllerCredentials } from '../kube/controller-credentials.ts'
import { version } from '../model/version.ts'
import type { nodeCapacity } from '../node/capacity.ts'
import { nodeCredentials, type AwaitedCertificate } from '../node/identity.ts'
import { keepNode } from '../node/keep-node.ts'
import { virtualNodeName } from '../node/node-object.ts'
import { thisPlace } from '../node/place.ts'
import type { BackendPods } from '../pods/backend-pods.ts'
import type { BackendWatch } from '../node/backend-watch.ts'
import type { House } from './house.ts'
import { serveNodeApi } from './node-api.ts'
import { clientCertificate, servingCertificate } from './node-certificates.ts'
import { metered, nodeIndex } from './pool-nodes.ts'

/** What a virtual node stands on. */
interface NodeGround {
  readonly backend: Backend
  readonly watch: BackendWatch
  readonly pods: BackendPods
}

interface PlaceInPool {
  readonly ordinal: number
  readonly capacity: ReturnType<typeof nodeCapacity>
}

/** Makes one virtual node: its identity, its Pods, its node API. The task answered keeps its Node object. */
export async function buildNode(
  house: House,
  { backend, watch, pods: backendPods }: NodeGround,
  pool: PoolConfig,
  { ordinal, capacity }: PlaceInPool,
  signal: AbortSignal,
): Promise<Task> {
  const { config, world, cluster } = house
  const { clock, log, random } = world
  const name = virtualNodeName(pool.name, ordinal)
  const { address, firstPort } = config.nodeApi
  const port = firstPort + nodeIndex(config, name)
  const client = clientCertificate(house, name)
  const api = await connectNode(house, name, client.certificate, signal)
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
  const serving = await servingCertificate(house, { name, address, api }, signal)
  const { certificate } = serving
  await serveNodeApi(house, { name, address, port, capacity, certificate, backend, backendPods }, signal)
  const versions = { server: cluster.serverVersion, spillway: version }
  const place = thisPlace({ address, port })
  const keep: Task = (inner) =>
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
        capabilities: () => backend.capabilities(),
        clock,
        random,
        log: log.child({ node: name }),
      },
      inner,
    )
  return (inner) => runTasks({ node: keep, ...client.tasks, ...serving.tasks }, inner)
}

/** The API server, as the node. */
async function connectNode(
  { config, world, cluster, ground }: House,
  name: string,
  certificate: AwaitedCertificate,
  signal: AbortSignal,
): Promise<KubeApi> {
  const { clock, environment } = world
  const credentials = await nodeCredentials({
    identity: config.nodeIdentity,
    nodeName: name,
    controller: cluster.credentials,
    certificate,
    impersonate: (impersonate) =>
      controllerCredentials({ kubeconfig: config.kubeconfig, environment, clock, impersonate }, signal),
  })
  const api = createKubeClient({ credentials, userAgent: `spillway/${version} (node ${name})`, ...world })
  ground.defer(() => api.close())
  return api
}
