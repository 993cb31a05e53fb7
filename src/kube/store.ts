import type { KubeObject } from '../model/kubernetes.ts'
import { errorMessage } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { ObjectName, Store, StoreChange } from './api.ts'
import { untilAborted } from './until-aborted.ts'

export interface ObjectStoreOptions<T extends KubeObject> {
  readonly log: Log
  /** Further keys by index name; an object may have any number of them. */
  readonly indices?: Readonly<Record<string, (object: T) => readonly string[]>>
}

/** The objects that a reflector keeps: by name, by UID, and by further keys. Objects are shared: never change them. */
export class ObjectStore<T extends KubeObject> implements Store<T> {
  readonly #log: Log
  readonly #byName = new Map<string, T>()
  readonly #byUid = new Map<string, T>()
  readonly #indices: readonly Index<T>[]
  readonly #listeners = new Set<(change: StoreChange<T>) => void>()
  readonly #synced = Promise.withResolvers<void>()
  #isSynced = false
  #list: readonly T[] | undefined
  #lastContactMs: number | undefined

  constructor({ log, indices = {} }: ObjectStoreOptions<T>) {
    this.#log = log
    this.#indices = Object.entries(indices).map(([name, keysOf]) => new Index(name, keysOf))
  }

  get synced(): boolean {
    return this.#isSynced
  }

  /**
   * Monotonic milliseconds of the last word from the API server about these objects: a list, an event, a bookmark or
   * an accepted watch. Undefined before the first. For liveness and for the age of what is shown.
   */
  get lastContactMs(): number | undefined {
    return this.#lastContactMs
  }

  get size(): number {
    return this.#byName.size
  }

  get(object: ObjectName): T | undefined {
    return this.#byName.get(nameKey(object))
  }

  byUid(uid: string): T | undefined {
    return this.#byUid.get(uid)
  }

  list(): readonly T[] {
    this.#list ??= [...this.#byName.values()]
    return this.#list
  }

  /** Throws when there is no index of that name. */
  byIndex(name: string, key: string): readonly T[] {
    const index = this.#indices.find((index) => index.name === name)
    if (!index) throw new Error(`the store has no index "${name}"`)
    return index.get(key)
  }

  subscribe(listener: (change: StoreChange<T>) => void): () => void {
    // Wrapped, so that the same function subscribed twice is two subscriptions.
    const own = (change: StoreChange<T>): void => listener(change)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  async whenSynced(signal: AbortSignal): Promise<void> {
    await untilAborted(this.#synced.promise, signal)
  }

  /** Takes over a whole list: what it lacks is removed, so that no deletion during a gap is missed. */
  replaceAll(objects: readonly T[]): void {
    const kept = new Set(objects.map(keyOf))
    for (const [key, object] of this.#byName) if (!kept.has(key)) this.#change(key, object, undefined)
    for (const object of objects) this.put(object)
    if (this.#isSynced) return
    this.#isSynced = true
    this.#synced.resolve()
  }

  put(object: T): void {
    const key = keyOf(object)
    const before = this.#byName.get(key)
    if (!before) {
      this.#change(key, undefined, object)
    } else if (before.metadata?.uid !== object.metadata?.uid) {
      // Another object under the same name: its deletion fell into a gap. To be told apart from a change of the old.
      this.#change(key, before, undefined)
      this.#change(key, undefined, object)
    } else if (before.metadata?.resourceVersion !== object.metadata?.resourceVersion) {
      this.#change(key, before, object)
    }
  }

  /** Does nothing when another object has the name by now. */
  remove(object: T): void {
    const key = keyOf(object)
    const before = this.#byName.get(key)
    if (before && before.metadata?.uid === object.metadata?.uid) this.#change(key, before, undefined)
  }

  /** Notes that the API server was heard of. */
  touch(monotonicMs: number): void {
    this.#lastContactMs = monotonicMs
  }

  #change(key: string, before: T | undefined, after: T | undefined): void {
    this.#list = undefined
    if (before) this.#byUid.delete(before.metadata?.uid ?? '')
    if (after) this.#byUid.set(after.metadata?.uid ?? '', after)
    if (after) this.#byName.set(key, after)
    else this.#byName.delete(key)
    for (const index of this.#indices) index.change(before, after)
    this.#tell({ ...(before && { before }), ...(after && { after }) })
  }

  #tell(change: StoreChange<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        // One bad listener must neither stop the reflector nor hide the change from the others.
        this.#log.error({ error: errorMessage(error) }, 'a store listener threw')
      }
    }
  }
}

class Index<T> {
  readonly name: string
  readonly #keysOf: (object: T) => readonly string[]
  readonly #objects = new Map<string, Set<T>>()

  constructor(name: string, keysOf: (object: T) => readonly string[]) {
    this.name = name
    this.#keysOf = keysOf
  }

  get(key: string): readonly T[] {
    return [...(this.#objects.get(key) ?? [])]
  }

  change(before: T | undefined, after: T | undefined): void {
    for (const key of before ? this.#keysOf(before) : []) {
      const objects = this.#objects.get(key)
      if (before) objects?.delete(before)
      if (objects?.size === 0) this.#objects.delete(key)
    }
    for (const key of after ? this.#keysOf(after) : []) {
      const objects = this.#objects.get(key) ?? new Set<T>()
      if (after) objects.add(after)
      this.#objects.set(key, objects)
    }
  }
}

function keyOf(object: KubeObject): string {
  const { namespace = '', name = '' } = object.metadata ?? {}
  return `${namespace}/${name}`
}

function nameKey({ namespace = '', name }: ObjectName): string {
  return `${namespace}/${name}`
}
