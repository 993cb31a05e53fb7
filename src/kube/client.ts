import type { Clock } from '../model/clock.ts'
import { hasCode, SpillwayError } from '../model/errors.ts'
import type { KubeList, KubeObject } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type {
  DeleteOptions,
  KubeApi,
  ListOptions,
  ObjectName,
  Patch,
  Resource,
  WatchEvent,
  WatchOptions,
} from './api.ts'
import type { Credentials } from './credentials.ts'
import {
  apiVersionOf,
  collectionPath,
  creationPath,
  nameOf,
  objectPath,
  selectionQuery,
} from './resource-path.ts'
import { Transport, type HttpRequest } from './transport.ts'
import { readWatchEvents } from './watch.ts'

export interface KubeClientOptions {
  readonly credentials: Credentials
  /** As in `spillway/0.1.0 (node burst-0)`: what the audit log will show. */
  readonly userAgent: string
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Default 30 s: half of what the API server itself gives a request. */
  readonly requestTimeoutMs?: number
  /** Default 32. Watches have their own. */
  readonly connections?: number
  /** Default 90 s; see `defaultStallTimeoutMs`. */
  readonly stallTimeoutMs?: number
}

/**
 * The API server's watch cache sends a bookmark 60 s after the one before, to the second and a quarter (apiserver
 * storage/cacher: defaultBookmarkFrequency, one-second buckets, a timer of 1–1.25 s). So a live watch is silent for up
 * to 63 s; 90 s leaves room for a loaded server. It may also be silent for longer and live: no bookmark is sent while
 * the cache has not moved past the version that the watch began at, as with a kind that nobody writes. A false alarm
 * costs one request, since the reflector goes on from where it was without listing.
 */
const defaultStallTimeoutMs = 90_000

/** The client of one API server as one identity. `close` ends everything under way. */
export function createKubeClient(options: KubeClientOptions): KubeApi & { close(): Promise<void> } {
  return new KubeClient(options)
}

const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const

class KubeClient implements KubeApi {
  readonly #options: KubeClientOptions
  readonly #transport: Transport

  constructor(options: KubeClientOptions) {
    this.#options = options
    const { credentials, userAgent, clock, requestTimeoutMs = 30_000, connections = 32 } = options
    this.#transport = new Transport({ credentials, userAgent, clock, requestTimeoutMs, connections })
  }

  get<T extends KubeObject>(resource: Resource<T>, object: ObjectName, signal: AbortSignal): Promise<T> {
    return this.#json<T>({ method: 'GET', path: objectPath(resource, object) }, signal)
  }

  /** Pages are of one version. When it expires between two pages (410), everything is listed anew in one page. */
  async list<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions,
    signal: AbortSignal,
  ): Promise<KubeList<T>> {
    try {
      return await this.#listPages(resource, options, options.pageSize ?? 500, signal)
    } catch (error) {
      if (!hasCode(error, 'Expired')) throw error
      this.#options.log.debug({ kind: resource.kind }, 'list expired between pages, listing anew')
      // Unpaged: a server so busy that pages outlive their version would expire them again and again.
      return this.#listPages(resource, options, undefined, signal)
    }
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, signal: AbortSignal): Promise<T> {
    return this.#json<T>(
      { method: 'POST', path: creationPath(resource, object), ...jsonBody(typed(resource, object)) },
      signal,
    )
  }

  replace<T extends KubeObject>(resource: Resource<T>, object: T, signal: AbortSignal): Promise<T> {
    return this.#json<T>(
      { method: 'PUT', path: objectPath(resource, nameOf(object)), ...jsonBody(typed(resource, object)) },
      signal,
    )
  }

  patch<T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    { type, body, subresource }: Patch,
    signal: AbortSignal,
  ): Promise<T> {
    return this.#json<T>(
      {
        method: 'PATCH',
        path: objectPath(resource, object, subresource),
        body: JSON.stringify(body),
        contentType: patchTypes[type],
      },
      signal,
    )
  }

  async delete<T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    { graceSeconds, uid, propagation }: DeleteOptions,
    signal: AbortSignal,
  ): Promise<void> {
    // Without kind and apiVersion the API server answers 400 to the whole body.
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }),
      ...(uid !== undefined && { preconditions: { uid } }),
      ...(propagation !== undefined && { propagationPolicy: propagation }),
    }
    const path = objectPath(resource, object)
    await this.#transport.request({ method: 'DELETE', path, ...jsonBody(body) }, signal)
  }

  createSubresource<Body extends KubeObject, T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    subresource: string,
    body: Body,
    signal: AbortSignal,
  ): Promise<Body> {
    const path = objectPath(resource, object, subresource)
    return this.#json<Body>({ method: 'POST', path, ...jsonBody(body) }, signal)
  }

  watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>> {
    const { random, stallTimeoutMs = defaultStallTimeoutMs } = this.#options
    const query = selectionQuery(options, {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: options.resourceVersion,
      // 5–10 min, spread so that many watches do not come back at once; client-go asks for the same.
      timeoutSeconds: String(300 + Math.floor(random() * 300)),
    })
    const path = collectionPath(resource, options.namespace) + query
    const chunks = this.#transport.stream(
      { method: 'GET', path },
      { stallTimeoutMs, onOpen: () => options.onOpen?.() },
      signal,
    )
    return readWatchEvents<T>(chunks, `watch of ${resource.plural}`)
  }

  getText(path: string, signal: AbortSignal): Promise<string> {
    return this.#transport.request({ method: 'GET', path }, signal)
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  async #listPages<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions,
    pageSize: number | undefined,
    signal: AbortSignal,
  ): Promise<KubeList<T>> {
    const items: T[] = []
    let token: string | undefined
    for (;;) {
      const limit = pageSize === undefined ? undefined : String(pageSize)
      const query = selectionQuery(options, { limit, continue: token })
      const path = collectionPath(resource, options.namespace) + query
      const page = await this.#json<KubeList<T>>({ method: 'GET', path }, signal)
      // In a list the kind is only said once, at the top; a watch says it with each object.
      for (const item of page.items ?? []) items.push(typed(resource, item))
      token = page.metadata.continue || undefined
      if (token === undefined) return { ...page, items }
    }
  }

  async #json<T>(request: HttpRequest, signal: AbortSignal): Promise<T> {
    const text = await this.#transport.request(request, signal)
    try {
      return JSON.parse(text) as T
    } catch (error) {
      const message = `${request.method} ${request.path}: the answer is not JSON`
      throw new SpillwayError('Unavailable', message, { cause: error })
    }
  }
}

function typed<T extends KubeObject>(resource: Resource<T>, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind }
}

function jsonBody(body: unknown): { body: string; contentType: string } {
  return { body: JSON.stringify(body), contentType: 'application/json' }
}
