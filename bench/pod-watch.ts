import type { KubeApi } from '../src/kube/api.ts'
import { reflect } from '../src/kube/reflector.ts'
import { namespaces, pods } from '../src/kube/resources.ts'
import { ObjectStore } from '../src/kube/store.ts'
import { extendTimeline, type PodTimeline } from '../src/cli/demo/pod-timeline.ts'
import { systemClock } from '../src/model/clock.ts'
import { hasCode } from '../src/model/errors.ts'
import type { Pod } from '../src/model/kubernetes.ts'
import { silentLog } from '../src/telemetry/log.ts'

export const benchNamespace = 'bench'
export const benchImage = 'registry.k8s.io/pause:3.10.2'

/** One observer for both kinds of node: when each Pod's phases were seen by one watch, on one monotonic clock. */
export class PodWatch {
  readonly #timelines = new Map<string, PodTimeline>()
  readonly #wakers = new Set<() => void>()
  readonly #end = new AbortController()
  readonly #store = new ObjectStore<Pod>({ log: silentLog() })
  readonly #api: KubeApi
  #watching: Promise<void> = Promise.resolve()

  constructor(api: KubeApi) {
    this.#api = api
  }

  /** Makes the namespace, waits for the ServiceAccount that every Pod there needs, and begins to watch. */
  async open(backoff: (failures: number) => number, signal: AbortSignal): Promise<void> {
    try {
      await this.#api.create(namespaces, { metadata: { name: benchNamespace } }, signal)
    } catch (error) {
      if (!hasCode(error, 'Conflict')) throw error
    }
    const clock = systemClock
    this.#store.subscribe(({ before, after }) => {
      const name = (after ?? before)?.metadata?.name ?? ''
      const timeline = extendTimeline(this.#timelines.get(name), after, clock.monotonicMs())
      if (timeline) this.#timelines.set(name, timeline)
      for (const wake of this.#wakers) wake()
    })
    const selection = { namespace: benchNamespace }
    this.#watching = reflect<Pod>(
      { api: this.#api, resource: pods, selection, store: this.#store, clock, backoff, log: silentLog() },
      this.#end.signal,
    )
    await this.#store.whenSynced(signal)
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#watching
  }

  /** Creates Pods; tried again while the namespace is not furnished yet. */
  async create(pod: Pod, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#api.create(pods, pod, signal)
        return
      } catch (error) {
        if (!hasCode(error, 'Forbidden') || !/serviceaccount/.test(String(error))) throw error
        await systemClock.sleep(100, signal)
      }
    }
  }

  /** The timelines of these Pods once all have got there. Rejects after two minutes, naming who has not. */
  async until(
    names: readonly string[],
    reached: (timeline: PodTimeline) => boolean,
    signal: AbortSignal,
  ): Promise<readonly PodTimeline[]> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(120_000)])
    for (;;) {
      const found = names.map((name) => this.#timelines.get(name))
      const missing = names.filter((_, index) => !(found[index] && reached(found[index])))
      if (missing.length === 0) return found.filter((timeline) => timeline !== undefined)
      if (deadline.aborted) throw new Error(`not there after two minutes: ${missing.join(', ')}`)
      await this.#change(deadline)
    }
  }

  /** Deletes these Pods and waits until they are gone, their sandboxes included. */
  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      names.map((name) => this.#api.delete(pods, { namespace: benchNamespace, name }, {}, signal)),
    )
    await this.until(names, ({ goneMs }) => goneMs !== undefined, signal)
    // What is left to tidy when the object has gone (network, cgroup, directories) is not the next Pod's to pay.
    await systemClock.sleep(names.length > 1 ? 3_000 : 500, signal)
  }

  #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wakers.add(resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
    return promise.finally(() => this.#wakers.delete(resolve))
  }
}

/** One container without probes, image present after the first. `node` binds it: no scheduler has a part in it. */
export function benchPod(name: string, { node, cpu = '1m' }: { node?: string; cpu?: string }): Pod {
  return {
    metadata: { name, namespace: benchNamespace },
    spec: {
      ...(node !== undefined && { nodeName: node }),
      terminationGracePeriodSeconds: 1,
      tolerations: node === undefined ? [] : [{ operator: 'Exists' }],
      containers: [
        {
          name: 'main',
          image: benchImage,
          imagePullPolicy: 'IfNotPresent',
          resources: { requests: { cpu, memory: '1Mi' } },
        },
      ],
    },
  }
}
