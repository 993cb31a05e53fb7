import type { Backend } from '../backends/backend.ts'
import type { KubeApi } from '../kube/api.ts'
import { pods } from '../kube/resources.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import { evictionOf, type Eviction } from '../lifecycle/eviction.ts'
import { limitsLocalStorage, localStorageExcess } from '../lifecycle/local-storage.ts'
import { hasCode } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { PodEventSink } from './pod-event.ts'

export interface LocalStorageOptions {
  readonly backend: Backend
  readonly recordEvent: PodEventSink
}

/** The Pods of one virtual node, and who may write their statuses. */
export interface WatchedPods {
  readonly pods: readonly Pod[]
  readonly api: KubeApi
  /** The Pod as the API server has it now. */
  readonly wrote: (pod: Pod) => void
}

/**
 * Finds Pods that keep more on disk than they may, and marks them for their end; the rest is their usual way: `decide`
 * sees the mark. Measures only Pods that have such a limit.
 */
export class LocalStorage {
  readonly #options: LocalStorageOptions

  constructor(options: LocalStorageOptions) {
    this.#options = options
  }

  /** One look. Rejects when the backend cannot be asked, or a mark cannot be written: the next look does it. */
  async look(nodes: readonly WatchedPods[], signal: AbortSignal): Promise<void> {
    const limited = nodes.flatMap((node) =>
      node.pods.filter((pod) => isActive(pod) && limitsLocalStorage(pod)).map((pod) => ({ node, pod })),
    )
    if (limited.length === 0) return
    const only = new Set(limited.map(({ pod }) => podRef(pod).uid))
    const usage = await this.#options.backend.usage({ storage: true, storageOf: only }, signal)
    for (const { node, pod } of limited) {
      const { uid } = podRef(pod)
      const own = usage.pods.find((one) => one.uid === uid)
      const message = own && localStorageExcess(pod, own)
      if (message !== undefined) await this.#evict(node, pod, { reason: 'Evicted', message }, signal)
    }
  }

  async #evict(node: WatchedPods, pod: Pod, eviction: Eviction, signal: AbortSignal): Promise<void> {
    const { api, wrote } = node
    const { uid, namespace, name } = podRef(pod)
    const body = { metadata: { uid }, status: eviction }
    try {
      wrote(
        await api.patch(
          pods,
          { namespace, name },
          { type: 'strategic', subresource: 'status', body },
          signal,
        ),
      )
    } catch (error) {
      // Gone, or another Pod of that name: nothing is left to evict.
      if (hasCode(error, 'NotFound') || hasCode(error, 'Conflict')) return
      throw error
    }
    this.#options.recordEvent(pod, { type: 'Warning', ...eviction })
  }
}

function isActive(pod: Pod): boolean {
  return !pod.metadata?.deletionTimestamp && !isTerminal(pod) && !evictionOf(pod.status)
}
