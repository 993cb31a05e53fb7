import type { BoundToken, NodeFacts, PodSources, TokenRequest } from '../backends/backend.ts'
import type { KubeApi, Store } from '../kube/api.ts'
import { configMaps, secrets, serviceAccounts } from '../kube/resources.ts'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import type { ConfigMap, KubeObject, Pod, RuntimeClass, Secret, Service } from '../model/kubernetes.ts'
import { podRef, type PodRef, type PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { serviceEnvironment } from './service-environment.ts'
import { WatchedObjects, type HeldObject } from './watched-objects.ts'

export interface NodeSourcesOptions {
  /** With the identity of the node: it may read what its own Pods refer to, and nothing else. */
  readonly api: KubeApi
  readonly services: Store<Service>
  readonly runtimeClasses: Store<RuntimeClass>
  readonly node: NodeFacts
  readonly clock: Clock
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

interface TokenReply extends KubeObject {
  spec: { audiences?: string[]; expirationSeconds: number; boundObjectRef: object }
  status?: { token: string; expirationTimestamp: string }
}

/** The live readers for the Pods of one virtual node. */
export class NodeSources {
  readonly #options: NodeSourcesOptions
  readonly #configMaps: WatchedObjects<ConfigMap>
  readonly #secrets: WatchedObjects<Secret>
  readonly #pods = new Map<PodUid, SourcesOfPod>()

  constructor(options: NodeSourcesOptions) {
    const { api, clock, backoff, log } = options
    this.#options = options
    this.#configMaps = new WatchedObjects({ api, resource: configMaps, clock, backoff, log })
    this.#secrets = new WatchedObjects({ api, resource: secrets, clock, backoff, log })
  }

  /** The same reader for the same Pod, until `settled`. */
  of(pod: Pod): PodSources {
    const ref = podRef(pod)
    let sources = this.#pods.get(ref.uid)
    if (!sources) {
      sources = new SourcesOfPod(ref, pod, this.#options, {
        configMaps: this.#configMaps,
        secrets: this.#secrets,
      })
      this.#pods.set(ref.uid, sources)
    }
    return sources
  }

  /** Nothing reads for that Pod any more. */
  settled(uid: PodUid): void {
    this.#pods.get(uid)?.close()
    this.#pods.delete(uid)
  }

  close(): void {
    this.#configMaps.close()
    this.#secrets.close()
    this.#pods.clear()
  }
}

interface Watched {
  readonly configMaps: WatchedObjects<ConfigMap>
  readonly secrets: WatchedObjects<Secret>
}

class SourcesOfPod implements PodSources {
  readonly node: NodeFacts
  readonly #pod: PodRef
  readonly #serviceAccount: string
  readonly #serviceLinks: boolean
  readonly #options: NodeSourcesOptions
  readonly #watched: Watched
  readonly #held = new Map<string, HeldObject<KubeObject>>()
  readonly #listeners = new Set<() => void>()

  constructor(ref: PodRef, pod: Pod, options: NodeSourcesOptions, watched: Watched) {
    this.node = options.node
    this.#pod = ref
    this.#serviceAccount = pod.spec?.serviceAccountName ?? 'default'
    this.#serviceLinks = pod.spec?.enableServiceLinks ?? true
    this.#options = options
    this.#watched = watched
  }

  configMap(name: string, signal: AbortSignal): Promise<ConfigMap | undefined> {
    return this.#read(`configmap/${name}`, () => this.#hold(this.#watched.configMaps, name), signal)
  }

  secret(name: string, signal: AbortSignal): Promise<Secret | undefined> {
    return this.#read(`secret/${name}`, () => this.#hold(this.#watched.secrets, name), signal)
  }

  async serviceAccountToken(
    { audience, expirationSeconds }: TokenRequest,
    signal: AbortSignal,
  ): Promise<BoundToken> {
    const { uid, namespace, name } = this.#pod
    const request: TokenReply = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(audience && { audiences: [audience] }),
        expirationSeconds,
        // Bound to the Pod: the token dies with it.
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    }
    const account = { namespace, name: this.#serviceAccount }
    const reply = await this.#options.api.createSubresource(
      serviceAccounts,
      account,
      'token',
      request,
      signal,
    )
    if (!reply.status)
      throw new Error(`the API server answered the TokenRequest for ${account.name} without a token`)
    return { token: reply.status.token, expiresAtMs: parseTimeMs(reply.status.expirationTimestamp) }
  }

  async serviceEnvironment(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const { services } = this.#options
    await services.whenSynced(signal)
    return serviceEnvironment(services.list(), { namespace: this.#pod.namespace, links: this.#serviceLinks })
  }

  async runtimeClass(name: string, signal: AbortSignal): Promise<RuntimeClass | undefined> {
    const { runtimeClasses } = this.#options
    await runtimeClasses.whenSynced(signal)
    return runtimeClasses.get({ name })
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    for (const held of this.#held.values()) held.release()
    this.#held.clear()
    this.#listeners.clear()
  }

  #hold<T extends KubeObject>(objects: WatchedObjects<T>, name: string): HeldObject<T> {
    return objects.hold(this.#pod.namespace, name, () => {
      for (const listener of this.#listeners) listener()
    })
  }

  async #read<T extends KubeObject>(
    key: string,
    hold: () => HeldObject<T>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    let held = this.#held.get(key) as HeldObject<T> | undefined
    if (!held) {
      held = hold()
      this.#held.set(key, held)
    }
    return await held.read(signal)
  }
}
