import { readFile } from 'node:fs/promises'
import type { BackendHealth } from '../../src/backends/backend.ts'
import { jitteredBackoff, defaultBackoff } from '../../src/control/backoff.ts'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials, type Credentials } from '../../src/kube/credentials.ts'
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts'
import { keepLease } from '../../src/kube/lease.ts'
import { reflect } from '../../src/kube/reflector.ts'
import { namespaces, nodes, pods, services } from '../../src/kube/resources.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { kubeTime, systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { KubeObject, Namespace, Node, Pod, Service, Taint } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { BackendWatch } from '../../src/node/backend-watch.ts'
import { EventRecorder } from '../../src/kube/events.ts'
import { defaultOverflowRules, runOverflow } from '../../src/scheduling/overflow.ts'
import { defaultDeletionCost } from '../../src/scheduling/scale-in.ts'
import { keepNode, type NodeShape } from '../../src/node/keep-node.ts'
import { aNodePool, capabilities } from './builders.ts'
import { planeVersion, type TestControlPlane } from './control-plane.ts'

export type TestClient = KubeApi & { close(): Promise<void> }

export interface Stores {
  readonly pods: ObjectStore<Pod>
  readonly nodes: ObjectStore<Node>
  readonly namespaces: ObjectStore<Namespace>
  readonly services: ObjectStore<Service>
}

/** What every part under test is given. */
export const partOptions = { clock: systemClock, random: Math.random, log: silentLog() }

export function testClient(credentials: Credentials, userAgent: string): TestClient {
  return createKubeClient({ credentials, userAgent, ...partOptions })
}

/** The cluster's people: an administrator, Spillway's controller, and its nodes, each with its own rights. */
export async function openClients(
  { controlPlane }: TestControlPlane,
  nodeName: string,
): Promise<{ admin: TestClient; controller: TestClient; node: TestClient }> {
  const never = new AbortController().signal
  const certificates = controlPlane.spillway.nodes.get(nodeName)
  if (!certificates) throw new Error(`there is no certificate for ${nodeName}`)
  const { certFile, keyFile } = certificates
  const [cert, key] = [await readFile(certFile, 'utf8'), await readFile(keyFile, 'utf8')]
  const environment = {}
  const controllerCredentials = await loadKubeconfig(
    { path: controlPlane.spillway.kubeconfig, environment, clock: systemClock },
    never,
  )
  return {
    admin: testClient(explicitCredentials(controlPlane.admin), 'admin'),
    controller: testClient(controllerCredentials, 'spillway (controller)'),
    node: testClient(
      explicitCredentials({ ...controlPlane.admin, cert, key }),
      `spillway (node ${nodeName})`,
    ),
  }
}

/** A reflector of all objects of a kind, until the signal is aborted. */
export function follow<T extends KubeObject>(
  api: KubeApi,
  resource: Resource<T>,
  signal: AbortSignal,
): ObjectStore<T> {
  const store = new ObjectStore<T>({ log: partOptions.log })
  const backoff = jitteredBackoff(defaultBackoff, Math.random)
  void reflect({ api, resource, selection: {}, store, backoff, ...partOptions }, signal)
  return store
}

/** Reflectors of all that overflow reads, until the signal is aborted. */
export function startStores(api: KubeApi, signal: AbortSignal): Stores {
  const start = <T extends KubeObject>(resource: Resource<T>): ObjectStore<T> => follow(api, resource, signal)
  return { pods: start(pods), nodes: start(nodes), namespaces: start(namespaces), services: start(services) }
}

/** A Node that is there, Ready and leased, and has nobody behind it. */
export async function startServer(
  admin: KubeApi,
  {
    name,
    cpu,
    memory,
    labels = {},
    taints = [],
    extended = {},
  }: {
    name: string
    cpu: string
    memory: string
    labels?: Record<string, string>
    taints?: Taint[]
    extended?: Record<string, string>
  },
  signal: AbortSignal,
): Promise<void> {
  const resources = { cpu, memory, 'ephemeral-storage': '10Gi', pods: '110', ...extended }
  const now = kubeTime(systemClock.wallMs())
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is' }
  const node = await admin.create(
    nodes,
    {
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
      spec: { taints },
      status: {
        capacity: resources,
        allocatable: resources,
        conditions: [{ ...ready, lastHeartbeatTime: now, lastTransitionTime: now }],
      },
    },
    signal,
  )
  void keepLease({ api: admin, nodeName: name, nodeUid: () => node.metadata?.uid, ...partOptions }, signal)
}

const fine = { ok: true, reason: 'Fine', message: 'fine' }

export const healthy: BackendHealth = {
  runtime: fine,
  disk: fine,
  network: fine,
  memory: fine,
  pids: fine,
  runtimeVersion: 'stub://1',
}

const shape: NodeShape = {
  pool: aNodePool(),
  use: { retiring: false, inUse: false },
  capacity: {
    cpuMillis: 16_000n,
    memoryBytes: 64n << 30n,
    ephemeralStorageBytes: 100n << 30n,
    pods: 110,
  },
}

/** burst-0 of pool burst, with a backend that says nothing but how it is. */
export function startVirtualNode(
  { controller, node }: { readonly controller: KubeApi; readonly node: KubeApi },
  { nodes }: Stores,
  health: () => BackendHealth,
  signal: AbortSignal,
): void {
  const backend = new BackendWatch({ backend: { health: async () => health() }, clock: systemClock })
  void backend.run(signal)
  void keepNode(
    {
      api: node,
      controllerApi: controller,
      nodes,
      backend,
      ordinal: 0,
      poolName: 'burst',
      shape: () => shape,
      onShape: () => () => undefined,
      place: {
        address: '127.0.0.1',
        port: 10_260,
        os: 'linux',
        architecture: 'amd64',
        kernelVersion: '6.1.0',
        osImage: 'Debian GNU/Linux 12',
        machineId: '0123456789abcdef',
      },
      capabilities: () => capabilities(),
      events: { record: () => undefined },
      versions: { server: planeVersion, spillway: '0.1.0' },
      ...partOptions,
    },
    signal,
  )
}

export interface FakeKubelets {
  readonly pods: ObjectStore<Pod>
  /** How long a bound Pod takes until it is Running and Ready; at once when left out. */
  readonly startMs?: number
  /** Whether a Pod is theirs; all are when left out. */
  readonly owns?: (pod: Pod) => boolean
}

/** Overflow to pool burst as Spillway runs it, with its events. */
export function startOverflow(controller: KubeApi, stores: Stores, signal: AbortSignal): void {
  const events = new EventRecorder({
    api: controller,
    component: 'spillway',
    instance: 'journey',
    ...partOptions,
  })
  void events.run(signal)
  const rules = { ...defaultOverflowRules, pools: [{ name: 'burst', refuses: () => undefined }] }
  const onRules = () => () => undefined
  void runOverflow(
    {
      api: controller,
      ...stores,
      rules: () => rules,
      onRules,
      deletionCost: () => defaultDeletionCost,
      events,
      ...partOptions,
    },
    signal,
  )
}

/**
 * In place of every kubelet, with no containers: a bound Pod is Running and Ready after `startMs`, a deleted one is gone
 * at once.
 */
export function startFakeKubelets(
  admin: KubeApi,
  { pods: store, startMs = 0, owns = () => true }: FakeKubelets,
  signal: AbortSignal,
): void {
  const starting = new Set<string>()
  const look = async (pod: Pod): Promise<void> => {
    const { namespace = '', name = '', uid = '', deletionTimestamp } = pod.metadata ?? {}
    if (deletionTimestamp) {
      await admin.delete(pods, { namespace, name }, { graceSeconds: 0, uid }, signal)
    } else if (pod.spec?.nodeName && pod.status?.phase === 'Pending' && !starting.has(uid)) {
      starting.add(uid)
      if (startMs > 0) await systemClock.sleep(startMs, signal)
      const patch = {
        type: 'strategic',
        subresource: 'status',
        body: { status: runningStatus(pod) },
      } as const
      await admin.patch(pods, { namespace, name }, patch, signal)
    }
  }
  store.subscribe(({ after }) => {
    if (!after || !owns(after)) return
    look(after).catch((error: unknown) => {
      if (!signal.aborted && !hasCode(error, 'NotFound') && !hasCode(error, 'Conflict')) throw error
    })
  })
}

function runningStatus(pod: Pod): object {
  const now = kubeTime(systemClock.wallMs())
  const condition = { status: 'True', lastTransitionTime: now }
  return {
    phase: 'Running',
    startTime: now,
    conditions: ['Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, ...condition })),
    containerStatuses: (pod.spec?.containers ?? []).map(({ name, image = '' }) => ({
      name,
      image,
      imageID: '',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: now } },
    })),
  }
}
