import type { Backend } from '../backends/backend.ts'
import { createBackend } from '../backends/registry.ts'
import { defaultBackoff, jitteredBackoff } from '../control/backoff.ts'
import type { Task } from '../control/tasks.ts'
import { podRef } from '../model/pod-key.ts'
import { BackendWatch } from '../node/backend-watch.ts'
import { nodeCapacity } from '../node/capacity.ts'
import { virtualNodeName } from '../node/node-object.ts'
import { BackendPods } from '../pods/backend-pods.ts'
import type { PodEventSink } from '../pods/pod-event.ts'
import type { House } from './house.ts'
import { buildNode } from './virtual-node.ts'

/** One backend, and all that stands on it. */
export interface BackendStack {
  readonly name: string
  readonly backend: Backend
  readonly watch: BackendWatch
  readonly pods: BackendPods
  readonly tasks: Readonly<Record<string, Task>>
}

/** Builds a backend and the virtual nodes of every pool on it; their tasks are not running yet. */
export async function buildBackend(house: House, name: string, signal: AbortSignal): Promise<BackendStack> {
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
    runtimeClasses: cluster.runtimeClasses,
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
