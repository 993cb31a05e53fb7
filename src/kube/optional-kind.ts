import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeApi, Resource, Store } from './api.ts'
import { reflect } from './reflector.ts'
import { ObjectStore } from './store.ts'

export interface OptionalKindOptions<T extends KubeObject> {
  readonly api: Pick<KubeApi, 'list' | 'watch' | 'getText'>
  readonly resource: Resource<T>
  readonly clock: Clock
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

/** How soon a definition is found that comes later, and how soon one is missed that went. */
const lookAgainMs = 10_000
const afterErrorMs = 1_000

/** All objects of a kind that not every API server has, and that may come and go while we run. */
export class OptionalKind<T extends KubeObject> {
  readonly #options: OptionalKindOptions<T>
  readonly #store: ObjectStore<T>
  readonly #listeners = new Set<() => void>()
  #isServed: boolean | undefined

  constructor(options: OptionalKindOptions<T>) {
    this.#options = options
    this.#store = new ObjectStore<T>({ log: options.log })
    this.#store.subscribe(() => this.#tell())
  }

  get store(): Store<T> {
    return this.#store
  }

  /** Whether the store is what the API server has; a kind that it does not serve has no objects. */
  get known(): boolean {
    return this.#isServed === false || (this.#isServed === true && this.#store.synced)
  }

  /** Calls back for every change of the objects, and when they become known. */
  subscribe(listener: () => void): () => void {
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Follows the objects until the signal is aborted, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const served = await this.#asks(signal)
      if (signal.aborted) return
      if (served === true) await this.#follow(signal)
      else {
        if (served === false) this.#setServed(false)
        await this.#rest(served === false ? lookAgainMs : afterErrorMs, signal)
      }
    }
  }

  /** Until the kind is no longer served. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { api, resource, clock, backoff, log } = this.#options
    this.#setServed(true)
    const ending = new AbortController()
    const inner = AbortSignal.any([signal, ending.signal])
    const reflecting = reflect<T>(
      { api, resource, selection: {}, store: this.#store, clock, backoff, log },
      inner,
    )
    void this.#store.whenSynced(inner).then(
      () => this.#tell(),
      () => undefined,
    )
    do await this.#rest(lookAgainMs, signal)
    while (!signal.aborted && (await this.#asks(signal)) !== false)
    ending.abort()
    await reflecting
    if (!signal.aborted) this.#store.replaceAll([])
  }

  /** Undefined: no answer. */
  async #asks(signal: AbortSignal): Promise<boolean | undefined> {
    const { api, resource, log } = this.#options
    const { group, version, plural } = resource
    try {
      const text = await api.getText(`/apis/${group}/${version}`, signal)
      const { resources } = JSON.parse(text) as { resources: readonly { name: string }[] }
      return resources.some(({ name }) => name === plural)
    } catch (error) {
      if (hasCode(error, 'NotFound')) return false
      if (!signal.aborted) {
        log.warn({ kind: resource.kind, error: errorMessage(error) }, 'not known whether the kind is served')
      }
      return undefined
    }
  }

  async #rest(durationMs: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(durationMs, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  #setServed(isServed: boolean): void {
    if (this.#isServed === isServed) return
    this.#isServed = isServed
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
