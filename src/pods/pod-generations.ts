import type { Pod } from '../model/kubernetes.ts'
import type { PodUid } from '../model/pod-key.ts'

/**
 * Counts the changes of Pods' specs where the API server does not: `metadata.generation` of Pods came with Kubernetes
 * 1.33. Without it an image or an ephemeral container would never reach the backend. Begins at 1 with each life of the
 * process, as do the backends, which are given every Pod anew then.
 */
export class PodGenerations {
  readonly #seen = new Map<PodUid, { readonly spec: string; readonly generation: number }>()

  /** The Pod with its generation: its own where it has one. */
  numbered(uid: PodUid, pod: Pod): Pod {
    if (pod.metadata?.generation !== undefined) return pod
    const spec = JSON.stringify(pod.spec)
    const before = this.#seen.get(uid)
    const generation = before ? before.generation + (before.spec === spec ? 0 : 1) : 1
    if (before?.generation !== generation) this.#seen.set(uid, { spec, generation })
    return { ...pod, metadata: { ...pod.metadata, generation } }
  }

  settled(uid: PodUid): void {
    this.#seen.delete(uid)
  }
}
