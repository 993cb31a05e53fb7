import type { KubeApi, Resource } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { ObjectStore } from '../kube/store.ts'
import type { Clock } from '../model/clock.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'

export interface WatchedObjectsOptions<T extends KubeObject> {
  readonly api: KubeApi
  readonly resource: Resource<T>
  readonly clock: Clock
  /** Milliseconds to wait after that many failures in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

export interface HeldObject<T> {
  /** The object as it is now, undefined when it does not exist. Waits for the first answer of the API server. */
  read(signal: AbortSignal): Promise<T | undefined>
  release(): void
}

/**
 * One watch for each object that some Pod refers to, shared by all Pods that do, as kubelet does: the rights of a node
 * do not reach further, and a list of all Secrets would cost memory and trust (virtual-kubelet#210).
 */
export class WatchedObjects<T extends KubeObject> {
  readonly #options: WatchedObjectsOptions<T>
  readonly #watches = new Map<string, Watch<T>>()

  constructor(options: WatchedObjectsOptions<T>) {
    this.#options = options
  }

  /** Begins to watch, or joins those who do. `changed` is called for every change after the first answer. */
  hold(namespace: string, name: string, changed: () => void): HeldObject<T> {
    const key = `${namespace}/${name}`
    const watch = this.#watches.get(key) ?? this.#begin(key, namespace, name)
    watch.holders += 1
    const unsubscribe = watch.store.subscribe(() => {
      if (watch.store.synced) changed()
    })
    let held = true
    return {
      read: async (signal) => {
        await watch.store.whenSynced(signal)
        return watch.store.get({ namespace, name })
      },
      release: () => {
        if (!held) return
        held = false
        unsubscribe()
        watch.holders -= 1
        if (watch.holders > 0) return
        watch.end.abort()
        this.#watches.delete(key)
      },
    }
  }

  /** Ends every watch. */
  close(): void {
    for (const watch of this.#watches.values()) watch.end.abort()
    this.#watches.clear()
  }

  #begin(key: string, namespace: string, name: string): Watch<T> {
    const { api, resource, clock, backoff, log } = this.#options
    const watch: Watch<T> = { store: new ObjectStore<T>({ log }), end: new AbortController(), holders: 0 }
    this.#watches.set(key, watch)
    const selection = { namespace, fieldSelector: `metadata.name=${name}` }
    void reflect<T>(
      { api, resource, selection, store: watch.store, clock, backoff, log },
      watch.end.signal,
    ).catch(() => {})
    return watch
  }
}

interface Watch<T extends KubeObject> {
  readonly store: ObjectStore<T>
  readonly end: AbortController
  holders: number
}
