import { readFile } from 'node:fs/promises'
import type { Backend } from '../backends/backend.ts'
import type { PoolConfig } from '../config/load.ts'
import type { Task } from '../control/tasks.ts'
import type { KubeApi } from '../kube/api.ts'
import { createKubeClient } from '../kube/client.ts'
import { controllerCredentials } from '../kube/controller-credentials.ts'
import { reviewAuthenticator, reviewAuthorizer } from '../kubelet-api/auth.ts'
import { startNodeApi } from '../kubelet-api/node-api.ts'
import { openServingCertificate } from '../kubelet-api/open-serving-certificate.ts'
import type { Pod } from '../model/kubernetes.ts'
import { version } from '../model/version.ts'
import type { nodeCapacity } from '../node/capacity.ts'
import { nodeCredentials, nodeFile } from '../node/identity.ts'
import { keepNode } from '../node/keep-node.ts'
import { virtualNodeName } from '../node/node-object.ts'
import { thisPlace } from '../node/place.ts'
import type { BackendPods } from '../pods/backend-pods.ts'
import type { BackendWatch } from '../node/backend-watch.ts'
import type { House } from './house.ts'
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
  await serveNodeApi(house, { name, address, port, capacity, backend, backendPods }, signal)
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
        capabilities: () => backend.capabilities(),
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

// Kubelet's.
const silentTooLongMs = 5 * 60_000

interface ServedNodeApi {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly capacity: PlaceInPool['capacity']
  readonly backend: Backend
  readonly backendPods: BackendPods
}

async function serveNodeApi(
  { config, world, cluster }: House,
  node: ServedNodeApi,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = world
  const { name, address, port, capacity, backend, backendPods } = node
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
      size: capacity,
      settings: {
        address,
        port,
        clientCaFile: clientCa,
        clusterDns: config.clusterDns,
        clusterDomain: config.clusterDomain,
        maxPods: capacity.pods,
        serverTlsBootstrap: false,
      },
      syncLoop: () =>
        backendPods.silentForMs > silentTooLongMs ? 'sync Loop took longer than expected' : undefined,
      clock,
      log,
    },
    signal,
  )
}

function isNamed(namespace: string, name: string): (pod: Pod) => boolean {
  return ({ metadata }) => metadata?.namespace === namespace && metadata.name === name
}
