import type { DesiredPod } from '../lifecycle/decide.ts'
import type { Store } from '../kube/api.ts'
import type { Pod } from '../model/kubernetes.ts'
import { asPodUid, type PodUid } from '../model/pod-key.ts'
import { PodGenerations } from './pod-generations.ts'

/**
 * What the API server wants of the Pods of one virtual node, by UID. Knows the difference between a Pod that was seen
 * to go and one that was never seen, and reads our own last write before the watch brings it back.
 */
export class DesiredPods {
  readonly #store: Store<Pod>
  /** Pods seen to go, until `settled`. */
  readonly #deleted = new Map<PodUid, Pod>()
  /** Answers to our own writes, while the watch is behind them. */
  readonly #written = new Map<PodUid, Pod>()
  readonly #generations = new PodGenerations()

  constructor(store: Store<Pod>, changed: (uid: PodUid) => void) {
    this.#store = store
    store.subscribe(({ before, after }) => {
      const uid = (after ?? before)?.metadata?.uid
      if (!uid) return
      const key = asPodUid(uid)
      if (!after && before) {
        this.#deleted.set(key, before)
        this.#written.delete(key)
      }
      changed(key)
    })
  }

  get synced(): boolean {
    return this.#store.synced
  }

  get(uid: PodUid): DesiredPod {
    const stored = this.#store.byUid(uid)
    if (stored) return { kind: 'present', pod: this.#newer(uid, stored) }
    const lastSeen = this.#deleted.get(uid)
    return lastSeen ? { kind: 'deleted', lastSeen } : { kind: 'unknown' }
  }

  /** The Pods bound to the node that are not over. */
  unfinished(): readonly Pod[] {
    return this.#store
      .list()
      .map((pod) => this.#newer(pod.metadata?.uid as PodUid, pod))
      .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
  }

  /** The API server's answer to a write of ours. */
  wrote(uid: PodUid, pod: Pod): void {
    if (this.#store.byUid(uid)) this.#written.set(uid, pod)
  }

  /** A live GET said that the Pod is gone: it counts as seen to go. */
  confirmDeleted(uid: PodUid, lastSeen: Pod): void {
    if (!this.#store.byUid(uid)) this.#deleted.set(uid, lastSeen)
  }

  /** Nothing of the Pod is left on either side. */
  settled(uid: PodUid): void {
    this.#deleted.delete(uid)
    this.#written.delete(uid)
    this.#generations.settled(uid)
  }

  #newer(uid: PodUid, stored: Pod): Pod {
    return this.#generations.numbered(uid, this.#latest(uid, stored))
  }

  #latest(uid: PodUid, stored: Pod): Pod {
    const written = this.#written.get(uid)
    if (!written) return stored
    if (version(written) > version(stored)) return written
    this.#written.delete(uid)
    return stored
  }
}

/** Comparable within one resource: KEP-5504 made official what every API server on etcd has always done. */
function version(pod: Pod): bigint {
  const text = pod.metadata?.resourceVersion ?? ''
  return /^\d+$/.test(text) ? BigInt(text) : 0n
}
