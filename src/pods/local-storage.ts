import type { Backend } from '../backends/backend.ts'
import { limitsLocalStorage, localStorageExcess } from '../lifecycle/local-storage.ts'
import { podRef } from '../model/pod-key.ts'
import { evict, mayBeEvicted, type WatchedPods } from './evict.ts'
import type { PodEventSink } from './pod-event.ts'

export interface LocalStorageOptions {
  readonly backend: Pick<Backend, 'usage'>
  readonly recordEvent: PodEventSink
}

/** Finds Pods that keep more on disk than they may, and evicts them. Measures only Pods that have such a limit. */
export class LocalStorage {
  readonly #options: LocalStorageOptions

  constructor(options: LocalStorageOptions) {
    this.#options = options
  }

  /** One look. Rejects when the backend cannot be asked, or a mark cannot be written: the next look does it. */
  async look(nodes: readonly WatchedPods[], signal: AbortSignal): Promise<void> {
    const { backend, recordEvent } = this.#options
    const limited = nodes.flatMap((node) =>
      node.pods.filter((pod) => mayBeEvicted(pod) && limitsLocalStorage(pod)).map((pod) => ({ node, pod })),
    )
    if (limited.length === 0) return
    const only = new Set(limited.map(({ pod }) => podRef(pod).uid))
    const usage = await backend.usage({ storage: true, storageOf: only }, signal)
    for (const { node, pod } of limited) {
      const { uid } = podRef(pod)
      const own = usage.pods.find((one) => one.uid === uid)
      const message = own && localStorageExcess(pod, own)
      if (message !== undefined) await evict({ node, pod, message, recordEvent }, signal)
    }
  }
}
