import type { Pod } from '../model/kubernetes.ts'

/** The answers to our own writes, for as long as the watch is behind them: without them a Pod would be sent twice. */
export class WrittenPods {
  readonly #byUid = new Map<string, Pod>()

  add(pod: Pod): void {
    this.#byUid.set(pod.metadata?.uid ?? '', pod)
  }

  /** The Pods of the store, each in its newest known form. Forgets what the store has caught up with. */
  over(stored: readonly Pod[]): readonly Pod[] {
    if (this.#byUid.size === 0) return stored
    const newer = new Map<string, Pod>()
    const pods = stored.map((pod) => {
      const uid = pod.metadata?.uid ?? ''
      const written = this.#byUid.get(uid)
      if (!written || version(written) <= version(pod)) return pod
      newer.set(uid, written)
      return written
    })
    this.#byUid.clear()
    for (const [uid, pod] of newer) this.#byUid.set(uid, pod)
    return pods
  }
}

/** Comparable within one resource (KEP-5504 made official what every API server on etcd has always done). */
function version({ metadata }: Pod): bigint {
  const text = metadata?.resourceVersion ?? ''
  return /^\d+$/.test(text) ? BigInt(text) : 0n
}
