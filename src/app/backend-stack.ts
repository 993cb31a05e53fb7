import type { Backend, BackendCapacity } from '../backends/backend.ts'
import { createBackend } from '../backends/registry.ts'
import { defaultBackoff, jitteredBackoff } from '../control/backoff.ts'
import type { Task } from '../control/tasks.ts'
import { podRef } from '../model/pod-key.ts'
import { BackendWatch } from '../node/backend-watch.ts'
import { BackendPods } from '../pods/backend-pods.ts'
import type { PodEventSink } from '../pods/pod-event.ts'
import type { House } from './house.ts'
import { nodeDoors } from './node-doors.ts'

/** One backend, and all that stands on it. */
export interface BackendStack {
  readonly name: string
  readonly backend: Backend
  readonly watch: BackendWatch
  readonly pods: BackendPods
  /** Of when we began: what nodes offer is static, so that Pods refused for room are not queued anew at each change. */
  readonly capacity: BackendCapacity
  readonly tasks: Readonly<Record<string, Task>>
}

/** Builds a backend, on which virtual nodes may then stand; its tasks are not running yet. */
export async function buildBackend(house: House, name: string, signal: AbortSignal): Promise<BackendStack> {
  const { config, world, cluster, meter, events, ground } = house
  const settings = config.backends.find((candidate) => candidate.name === name)
  const owner = { clusterUid: cluster.uid, instance: config.clusterName }
  const backend = await createBackend({
    name,
    kind: settings?.kind ?? '',
    options: settings?.options,
    owner,
    doors: nodeDoors(cluster.nodes),
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
  return {
    name,
    backend,
    watch,
    pods: backendPods,
    capacity: await backend.capacity(signal),
    tasks: {
      [`health of ${name}`]: (inner) => watch.run(inner),
      [`pods of ${name}`]: (inner) => backendPods.run(inner),
    },
  }
}
