import type { KubeList, KubeObject } from '../model/kubernetes.ts'

/**
 * The API server as the rest of the house sees it; `client.ts` is the one implementation. All calls reject with a
 * `SpillwayError`: NotFound, Conflict, Forbidden, Invalid, Expired (410), Busy (429 with its Retry-After as afterMs),
 * Unavailable (network, 5xx); or with the signal's reason.
 */
export interface KubeApi {
  get<T extends KubeObject>(resource: Resource<T>, object: ObjectName, signal: AbortSignal): Promise<T>
  list<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions,
    signal: AbortSignal,
  ): Promise<KubeList<T>>
  create<T extends KubeObject>(resource: Resource<T>, object: T, signal: AbortSignal): Promise<T>
  replace<T extends KubeObject>(resource: Resource<T>, object: T, signal: AbortSignal): Promise<T>
  patch<T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    patch: Patch,
    signal: AbortSignal,
  ): Promise<T>
  delete<T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    options: DeleteOptions,
    signal: AbortSignal,
  ): Promise<void>
  /** POST to a subresource that takes an object of its own kind and answers with it: `token`, `eviction`, `binding`. */
  createSubresource<Body extends KubeObject, T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    subresource: string,
    body: Body,
    signal: AbortSignal,
  ): Promise<Body>
  /** One watch: ends by the server's time-out (normally), by an error, or by the signal. */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>
  /** GET of a path outside the object API, such as `/version` or `/readyz`, as text. */
  getText(path: string, signal: AbortSignal): Promise<string>
}

/** A kind of object and where it is served. Constants in `resources.ts`. */
export interface Resource<T extends KubeObject> {
  /** '' for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  /** Carries the type; never set. */
  readonly _type?: T
}

export interface ObjectName {
  /** Left out for cluster-scoped objects. */
  readonly namespace?: string
  readonly name: string
}

export interface Selection {
  /** Left out: all namespaces. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface ListOptions extends Selection {
  /** Default 500; the client follows `continue` to the end. */
  readonly pageSize?: number
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string
  /** Called once the API server has accepted the watch: it may stay silent long after that. */
  readonly onOpen?: () => void
}

export interface Patch {
  readonly type: 'json' | 'merge' | 'strategic'
  readonly body: unknown
  /** Such as `status`. */
  readonly subresource?: string
}

export interface DeleteOptions {
  readonly graceSeconds?: number
  /** Deletes only this incarnation of the name. */
  readonly uid?: string
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan'
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

/** A read-only picture of the objects that a reflector keeps. */
export interface Store<T extends KubeObject> {
  /** Whether the first list is in. */
  readonly synced: boolean
  get(object: ObjectName): T | undefined
  byUid(uid: string): T | undefined
  list(): readonly T[]
  /** Calls back for every change after now, and for each object of a re-list that differs. Never for the same twice. */
  subscribe(listener: (change: StoreChange<T>) => void): () => void
  /** Resolves once `synced`. */
  whenSynced(signal: AbortSignal): Promise<void>
}

/** Only a hint where to look: the store holds the truth. `before` absent: new; `after` absent: gone. */
export interface StoreChange<T> {
  readonly before?: T
  readonly after?: T
}
