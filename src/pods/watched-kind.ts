import type { KubeApi, Resource, Selection, Store } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { ObjectStore } from '../kube/store.ts'
import type { Clock } from '../model/clock.ts'
import { hasCode, SpillwayError } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'

export interface WatchedKindOptions<T extends KubeObject> {
  readonly api: KubeApi
  readonly resource: Resource<T>
  /** Of the group, the best first: the first that is served is watched. */
  readonly versions: readonly string[]
  readonly selection: Selection
  /** How the refusal begins: `ClusterTrustBundle projection`. */
  readonly purpose: string
  readonly clock: Clock
  /** Milliseconds to wait after that many failures in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

// kubelet's patience with a watch that has just begun.
const longestSyncMs = 10_000

/**
 * All objects of a kind that few Pods ask for and that not every API server has: found out and watched when the first
 * Pod asks, for as long as the node lives.
 */
export class WatchedKind<T extends KubeObject> {
  readonly #options: WatchedKindOptions<T>
  readonly #store: ObjectStore<T>
  readonly #end = new AbortController()
  #begun: Promise<void> | undefined

  constructor(options: WatchedKindOptions<T>) {
    this.#options = options
    this.#store = new ObjectStore<T>({ log: options.log })
  }

  /** The objects as they are now. Unavailable: the API server has no such kind, or does not show it. */
  async read(signal: AbortSignal): Promise<Store<T>> {
    // An API server that is upgraded may have it the next time.
    this.#begun ??= this.#begin().catch((error: unknown) => {
      this.#begun = undefined
      throw error
    })
    await this.#begun
    signal.throwIfAborted()
    if (!this.#store.synced) await this.#firstSync(signal)
    return this.#store
  }

  /** Calls back for every change after the first answer of the API server. Returns the end of the subscription. */
  subscribe(listener: (object: T) => void): () => void {
    return this.#store.subscribe(({ before, after }) => {
      const object = after ?? before
      if (this.#store.synced && object) listener(object)
    })
  }

  close(): void {
    this.#end.abort()
  }

  async #begin(): Promise<void> {
    const { resource, selection, api, clock, backoff, log } = this.#options
    const version = await this.#servedVersion()
    const served = { ...resource, version }
    void reflect<T>(
      { api, resource: served, selection, store: this.#store, clock, backoff, log },
      this.#end.signal,
    ).catch(() => {})
  }

  async #servedVersion(): Promise<string> {
    const { resource, versions, purpose } = this.#options
    for (const version of versions) if (await this.#serves(version)) return version
    const found = versions.map((version) => `${resource.group}/${version}`).join(', ')
    throw new SpillwayError(
      'Unavailable',
      `${purpose} is not supported: the API server serves no ${resource.plural} in ${found}`,
    )
  }

  async #serves(version: string): Promise<boolean> {
    const { api, resource } = this.#options
    try {
      const text = await api.getText(`/apis/${resource.group}/${version}`, this.#end.signal)
      const { resources } = JSON.parse(text) as { resources: readonly { name: string }[] }
      return resources.some(({ name }) => name === resource.plural)
    } catch (error) {
      if (hasCode(error, 'NotFound')) return false
      throw error
    }
  }

  async #firstSync(signal: AbortSignal): Promise<void> {
    const { clock, resource } = this.#options
    const done = new AbortController()
    const waits = AbortSignal.any([signal, done.signal])
    try {
      await Promise.race([this.#store.whenSynced(waits), clock.sleep(longestSyncMs, waits)])
    } finally {
      done.abort()
    }
    if (this.#store.synced) return
    throw new SpillwayError('Unavailable', `${resource.kind} informer has not yet synced`)
  }
}
