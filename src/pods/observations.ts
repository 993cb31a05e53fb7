import type { Backend, BackendEvent, PodHappening } from '../backends/backend.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'

export interface ObservationsListener {
  /** Look at this Pod again. */
  changed(uid: PodUid): void
  happened(uid: PodUid, happening: PodHappening): void
}

/**
 * The backend's Pods as last told, one picture a UID. A watch that breaks leaves the old picture standing (a backend
 * that cannot be asked has not lost its Pods); the next watch's snapshot replaces it as a whole.
 */
export class Observations {
  readonly #pods = new Map<PodUid, PodObservation>()
  readonly #listener: ObservationsListener
  #synced = false

  constructor(listener: ObservationsListener) {
    this.#listener = listener
  }

  /** Whether a whole snapshot has ever been read: before that, absence means nothing. */
  get synced(): boolean {
    return this.#synced
  }

  get(uid: PodUid): PodObservation | undefined {
    return this.#pods.get(uid)
  }

  all(): readonly PodObservation[] {
    return [...this.#pods.values()]
  }

  /** Follows one watch to its end, which is an error or the signal. The caller begins anew. */
  async follow(backend: Backend, signal: AbortSignal): Promise<void> {
    let snapshot: Set<PodUid> | undefined = new Set()
    for await (const event of backend.watch(signal)) {
      if (event.kind === 'synced') {
        if (snapshot) this.#dropMissing(snapshot)
        snapshot = undefined
        this.#synced = true
      } else {
        if (event.kind === 'observed') snapshot?.add(event.pod.uid)
        this.#apply(event)
      }
    }
  }

  #apply(event: Exclude<BackendEvent, { kind: 'synced' }>): void {
    switch (event.kind) {
      case 'observed':
        this.#pods.set(event.pod.uid, event.pod)
        this.#listener.changed(event.pod.uid)
        break
      case 'gone':
        this.#pods.delete(event.uid)
        this.#listener.changed(event.uid)
        break
      case 'happened':
        this.#listener.happened(event.uid, event.happening)
        break
    }
  }

  #dropMissing(present: ReadonlySet<PodUid>): void {
    for (const uid of this.#pods.keys()) {
      if (present.has(uid)) continue
      this.#pods.delete(uid)
      this.#listener.changed(uid)
    }
  }
}
