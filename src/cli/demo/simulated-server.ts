import { SimulatorBackend } from '../../backends/simulator/backend.ts'
import { SimulatedWorld } from '../../backends/simulator/world.ts'
import { defaultBackoff, jitteredBackoff } from '../../control/backoff.ts'
import { runTasks } from '../../control/tasks.ts'
import type { Cluster } from '../../kube/cluster.ts'
import { keepLease } from '../../kube/lease.ts'
import { nodes } from '../../kube/resources.ts'
import { kubeTime, type Clock } from '../../model/clock.ts'
import type { Node } from '../../model/kubernetes.ts'
import { BackendPods, type ServedNode } from '../../pods/backend-pods.ts'
import type { Meter } from '../../pods/meter.ts'
import type { Log } from '../../telemetry/log.ts'

export interface SimulatedServerOptions {
  readonly name: string
  readonly cluster: Cluster
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

const resources = { cpu: '1', memory: '2Gi', pods: '110' }

/** Servers are bought, not billed. */
const unmetered: Meter = {
  intent: () => Promise.resolve(),
  record: () => Promise.resolve(),
  resizing: () => Promise.resolve(),
  resizeRefused: () => Promise.resolve(),
  stopping: () => Promise.resolve(),
  closeLost: () => Promise.resolve(),
  priceTags: () => Promise.resolve(undefined),
  voided: () => Promise.resolve(),
}

/**
 * An ordinary server without the server, for the story that is told without root: a plain Node of one core whose Pods
 * go through the same heart as those of a virtual node, on a simulator of its own.
 */
export async function runSimulatedServer(
  options: SimulatedServerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { name, cluster, clock, random, log } = options
  const { api } = cluster
  const node = await api.create(nodes, serverNode(name, clock.wallMs()), signal)
  const backend = new SimulatorBackend({
    name: 'server',
    world: new SimulatedWorld({ options: { podCidr: '10.244.0.0/24' }, clock }),
  })
  const backoff = jitteredBackoff(defaultBackoff, random)
  const pods = new BackendPods({
    backend,
    api,
    services: cluster.services,
    runtimeClasses: cluster.runtimeClasses,
    meter: unmetered,
    recordEvent: () => {},
    clock,
    random,
    backoff,
    log,
  })
  const facts = {
    name,
    ips: ['127.0.0.1'],
    clusterDns: [],
    clusterDomain: 'cluster.local',
    allocatableCpuMillis: 1000n,
    allocatableMemoryBytes: 2n << 30n,
  }
  const served: ServedNode = {
    name,
    metered: () => ({ pool: '', node: name, priceBook: '' }),
    policy: [],
    budget: () => undefined,
    facts: () => facts,
    api,
    node: () => cluster.nodes.get({ name }),
  }
  await runTasks(
    {
      pods: (inner) => pods.run(inner),
      node: (inner) => pods.serveNode(served, inner),
      lease: (inner) =>
        keepLease({ api, nodeName: name, nodeUid: () => node.metadata?.uid, clock, random, log }, inner),
    },
    signal,
  )
}

function serverNode(name: string, nowMs: number): Node {
  const lastHeartbeatTime = kubeTime(nowMs)
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    status: {
      capacity: resources,
      allocatable: resources,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Simulated',
          lastHeartbeatTime,
          lastTransitionTime: lastHeartbeatTime,
        },
      ],
    },
  }
}
