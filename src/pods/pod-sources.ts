import type {
  BoundToken,
  NodeFacts,
  PodSources,
  TokenRequest,
  WantedCertificate,
} from '../backends/backend.ts'
import type { KubeApi, Store } from '../kube/api.ts'
import {
  clusterTrustBundles,
  configMaps,
  nodes,
  podCertificateRequests,
  secrets,
  serviceAccounts,
} from '../kube/resources.ts'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import type {
  ClusterTrustBundle,
  ConfigMap,
  KubeObject,
  Pod,
  PodCertificateRequest,
  RuntimeClass,
  Secret,
  Service,
} from '../model/kubernetes.ts'
import { podRef, type PodRef, type PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { serviceEnvironment } from './service-environment.ts'
import { WatchedKind } from './watched-kind.ts'
import { WatchedObjects, type HeldObject } from './watched-objects.ts'

export interface NodeSourcesOptions {
  /** With the identity of the node: it may read what its own Pods refer to, and nothing else. */
  readonly api: KubeApi
  readonly services: Store<Service>
  readonly runtimeClasses: Store<RuntimeClass>
  readonly nodeFacts: () => NodeFacts
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
  readonly #watched: Watched
  readonly #pods = new Map<PodUid, SourcesOfPod>()

  constructor(options: NodeSourcesOptions) {
    const { api, clock, backoff, log, nodeFacts } = options
    const common = { api, clock, backoff, log }
    this.#options = options
    this.#watched = {
      configMaps: new WatchedObjects({ ...common, resource: configMaps }),
      secrets: new WatchedObjects({ ...common, resource: secrets }),
      trustBundles: new WatchedKind({
        ...common,
        resource: clusterTrustBundles,
        versions: ['v1', 'v1beta1', 'v1alpha1'],
        selection: {},
        purpose: 'ClusterTrustBundle projection',
      }),
      certificateRequests: new WatchedKind({
        ...common,
        resource: podCertificateRequests,
        // Before v1 the proof of possession was another.
        versions: ['v1'],
        // A node may see no others.
        selection: { fieldSelector: `spec.nodeName=${nodeFacts().name}` },
        purpose: 'PodCertificate projection',
      }),
    }
  }

  /** The same reader for the same Pod, until `settled`. */
  of(pod: Pod): PodSources {
    const ref = podRef(pod)
    let sources = this.#pods.get(ref.uid)
    if (!sources) {
      sources = new SourcesOfPod(ref, pod, this.#options, this.#watched)
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
    for (const watched of Object.values(this.#watched)) watched.close()
    this.#pods.clear()
  }
}

interface Watched {
  readonly configMaps: WatchedObjects<ConfigMap>
  readonly secrets: WatchedObjects<Secret>
  readonly trustBundles: WatchedKind<ClusterTrustBundle>
  readonly certificateRequests: WatchedKind<PodCertificateRequest>
}

class SourcesOfPod implements PodSources {
  readonly #pod: PodRef
  readonly #serviceAccount: string
  readonly #serviceLinks: boolean
  readonly #options: NodeSourcesOptions
  readonly #watched: Watched
  readonly #held = new Map<string, HeldObject<KubeObject>>()
  readonly #listeners = new Set<() => void>()
  #followsBundles: (() => void) | undefined
  #followsRequests: (() => void) | undefined

  constructor(ref: PodRef, pod: Pod, options: NodeSourcesOptions, watched: Watched) {
    this.#pod = ref
    this.#serviceAccount = pod.spec?.serviceAccountName ?? 'default'
    this.#serviceLinks = pod.spec?.enableServiceLinks ?? true
    this.#options = options
    this.#watched = watched
  }

  get node(): NodeFacts {
    return this.#options.nodeFacts()
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

  async clusterTrustBundles(signal: AbortSignal): Promise<readonly ClusterTrustBundle[]> {
    const { trustBundles } = this.#watched
    this.#followsBundles ??= trustBundles.subscribe(() => this.#changed())
    return (await trustBundles.read(signal)).list()
  }

  async requestCertificate(wanted: WantedCertificate, signal: AbortSignal): Promise<string> {
    const { api } = this.#options
    const { node } = this
    const { uid, namespace, name } = this.#pod
    // Says that there are none before one is made in vain, and sees from the start what becomes of it.
    await this.#certificateRequests(signal)
    const account = await api.get(serviceAccounts, { namespace, name: this.#serviceAccount }, signal)
    const self = await api.get(nodes, { name: node.name }, signal)
    const { signerName, stubRequest, maxExpirationSeconds, userAnnotations } = wanted
    const request: PodCertificateRequest = {
      metadata: {
        namespace,
        generateName: 'req-',
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
      },
      spec: {
        signerName,
        podName: name,
        podUID: uid,
        serviceAccountName: this.#serviceAccount,
        serviceAccountUID: account.metadata?.uid ?? '',
        nodeName: node.name,
        nodeUID: self.metadata?.uid ?? '',
        stubPKCS10Request: Buffer.from(stubRequest).toString('base64'),
        ...(maxExpirationSeconds !== undefined && { maxExpirationSeconds }),
        ...(userAnnotations && { unverifiedUserAnnotations: { ...userAnnotations } }),
      },
    }
    const made = await api.create(podCertificateRequests, request, signal)
    return made.metadata?.name ?? ''
  }

  async certificateRequest(name: string, signal: AbortSignal): Promise<PodCertificateRequest | undefined> {
    const { namespace } = this.#pod
    return (await this.#certificateRequests(signal)).get({ namespace, name })
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
    this.#followsBundles?.()
    this.#followsRequests?.()
    this.#listeners.clear()
  }

  #certificateRequests(signal: AbortSignal): Promise<Store<PodCertificateRequest>> {
    const { certificateRequests } = this.#watched
    this.#followsRequests ??= certificateRequests.subscribe(({ spec }) => {
      if (spec.podUID === this.#pod.uid) this.#changed()
    })
    return certificateRequests.read(signal)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }

  #hold<T extends KubeObject>(objects: WatchedObjects<T>, name: string): HeldObject<T> {
    return objects.hold(this.#pod.namespace, name, () => this.#changed())
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
