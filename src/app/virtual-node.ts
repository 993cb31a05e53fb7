import type { NodeFacts } from '../backends/backend.ts'
import { runTasks, type Task } from '../control/tasks.ts'
import type { KubeApi } from '../kube/api.ts'
import { createKubeClient } from '../kube/client.ts'
import { controllerCredentials } from '../kube/controller-credentials.ts'
import type { Refused } from '../lifecycle/admission.ts'
import { profileRefusal } from '../lifecycle/security-profile.ts'
import type { Pod } from '../model/kubernetes.ts'
import { strictestProfile } from '../model/security-profile.ts'
import { version } from '../model/version.ts'
import { nodeCredentials, type AwaitedCertificate } from '../node/identity.ts'
import { keepNode, type KeepNodeOptions } from '../node/keep-node.ts'
import type { NodeCapacity } from '../node/node-object.ts'
import { thisPlace } from '../node/place.ts'
import type { BackendStack } from './backend-stack.ts'
import type { BudgetDesk } from './budgets.ts'
import type { House } from './house.ts'
import { meteredNode } from './metered-node.ts'
import { serveNodeApi } from './node-api.ts'
import { clientCertificate, servingCertificate } from './node-certificates.ts'

export interface VirtualNodeOptions extends Pick<KeepNodeOptions, 'shape' | 'onShape' | 'ordinal'> {
  readonly name: string
  readonly pool: string
  readonly port: number
  readonly stack: BackendStack
  readonly budgets: BudgetDesk
  /** Called once the node's API is answered. */
  readonly serving: () => void
}

/**
 * Is one virtual node until the signal is aborted: its identity, its Pods, its node API, its Node object. Rejects with
 * what keeps it from it: a port that is taken, a certificate file that is not there.
 */
export async function serveVirtualNode(
  house: House,
  options: VirtualNodeOptions,
  signal: AbortSignal,
): Promise<void> {
  await using ground = new AsyncDisposableStack()
  const { config, cluster } = house
  const { name, pool, port, stack, shape, budgets } = options
  const { address } = config.nodeApi
  // A listener ends with the signal, and has to end too when this fails.
  const over = new AbortController()
  ground.defer(() => over.abort())
  const until = AbortSignal.any([signal, over.signal])
  const client = clientCertificate(house, name)
  const api = await connectNode(house, name, client.certificate, until)
  ground.defer(() => api.close())
  const serving = await servingCertificate(house, { name, address, api }, until)
  const { certificate } = serving
  const { backend, pods: backendPods } = stack
  const capacity = () => shape().capacity
  await serveNodeApi(house, { name, address, port, capacity, certificate, backend, backendPods }, until)
  options.serving()
  const servePods: Task = (inner) =>
    backendPods.serveNode(
      {
        name,
        metered: () => meteredNode(house.pools, name),
        policy: [(pod) => securityRefusal(house, pool, pod)],
        budget: (pod) => budgets.refuses(pod, pool),
        facts: () => nodeFacts(house, { name, pool }, capacity()),
        api,
        node: () => cluster.nodes.get({ name }),
      },
      inner,
    )
  const keep = keepTask(house, { ...options, poolName: pool, api })
  await runTasks({ node: keep, pods: servePods, ...client.tasks, ...serving.tasks }, until)
}

function keepTask(
  { config, cluster, events, world }: House,
  node: VirtualNodeOptions & { readonly poolName: string; readonly api: KubeApi },
): Task {
  const { api, name, poolName, ordinal, port, stack, shape, onShape } = node
  const { clock, log, random } = world
  return (inner) =>
    keepNode(
      {
        api,
        controllerApi: cluster.api,
        nodes: cluster.nodes,
        backend: stack.watch,
        poolName,
        ordinal,
        shape,
        onShape,
        place: thisPlace({ address: config.nodeApi.address, port }),
        versions: { server: cluster.serverVersion, spillway: version },
        capabilities: () => stack.backend.capabilities(),
        events,
        clock,
        random,
        log: log.child({ node: name }),
      },
      inner,
    )
}

function securityRefusal({ pools }: House, pool: string, pod: Pod): Refused | undefined {
  // A pool that is being taken away lets nobody have more than any does.
  const profile = pools.get(pool)?.config?.security ?? strictestProfile
  const message = profileRefusal(pod, profile, pool)
  return message === undefined ? undefined : { reason: 'SecurityProfile', message }
}

function nodeFacts(
  { config, pools }: House,
  { name, pool }: { readonly name: string; readonly pool: string },
  { cpuMillis, memoryBytes }: NodeCapacity,
): NodeFacts {
  const { sandbox, security: profile } = pools.get(pool)?.config ?? {}
  return {
    name,
    ips: [config.nodeApi.address],
    clusterDns: config.clusterDns,
    clusterDomain: config.clusterDomain,
    allocatableCpuMillis: cpuMillis,
    allocatableMemoryBytes: memoryBytes,
    ...(sandbox && { sandbox }),
    ...(profile && { security: { pool, profile } }),
  }
}

/** The API server, as the node. */
async function connectNode(
  { config, world, cluster }: House,
  name: string,
  certificate: AwaitedCertificate,
  signal: AbortSignal,
): Promise<KubeApi & { close(): Promise<void> }> {
  const { clock, environment } = world
  const credentials = await nodeCredentials({
    identity: config.nodeIdentity,
    nodeName: name,
    controller: cluster.credentials,
    certificate,
    impersonate: (impersonate) =>
      controllerCredentials({ kubeconfig: config.kubeconfig, environment, clock, impersonate }, signal),
  })
  return createKubeClient({ credentials, userAgent: `spillway/${version} (node ${name})`, ...world })
}
