import type { BoundToken, NodeFacts, PodSources, TokenRequest } from '../../src/backends/backend.ts'
import type {
  ClusterTrustBundle,
  ConfigMap,
  PodCertificateRequest,
  RuntimeClass,
  Secret,
} from '../../src/model/kubernetes.ts'
import { SpillwayError } from '../../src/model/errors.ts'

/** What Pods refer to, kept in memory and changed by the test. */
export class FakePodSources implements PodSources {
  readonly node: NodeFacts
  readonly #configMaps = new Map<string, ConfigMap>()
  readonly #secrets = new Map<string, Secret>()
  readonly #runtimeClasses = new Map<string, RuntimeClass>()
  readonly #listeners = new Set<() => void>()

  constructor(node: Partial<NodeFacts> = {}) {
    this.node = {
      name: 'burst-0',
      ips: ['10.200.0.1'],
      clusterDns: ['10.96.0.10'],
      clusterDomain: 'cluster.local',
      allocatableCpuMillis: 8_000n,
      allocatableMemoryBytes: 32n * 2n ** 30n,
      ...node,
    }
  }

  setConfigMap(name: string, data: Readonly<Record<string, string>>): void {
    this.#configMaps.set(name, { metadata: { name }, data })
    this.#changed()
  }

  /** Values are plain text here. */
  setSecret(name: string, data: Readonly<Record<string, string>>): void {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
    this.#secrets.set(name, {
      metadata: { name },
      data: Object.fromEntries(encoded) as Record<string, string>,
    })
    this.#changed()
  }

  async configMap(name: string, signal: AbortSignal): Promise<ConfigMap | undefined> {
    signal.throwIfAborted()
    return this.#configMaps.get(name)
  }

  async secret(name: string, signal: AbortSignal): Promise<Secret | undefined> {
    signal.throwIfAborted()
    return this.#secrets.get(name)
  }

  async serviceAccountToken(request: TokenRequest, signal: AbortSignal): Promise<BoundToken> {
    signal.throwIfAborted()
    return {
      token: `token for ${request.audience || 'the API server'}`,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
    }
  }

  async serviceEnvironment(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    signal.throwIfAborted()
    return new Map([
      ['KUBERNETES_SERVICE_HOST', '10.96.0.1'],
      ['KUBERNETES_SERVICE_PORT', '443'],
    ])
  }

  setRuntimeClass(name: string, handler: string): void {
    this.#runtimeClasses.set(name, { metadata: { name }, handler })
  }

  async runtimeClass(name: string, signal: AbortSignal): Promise<RuntimeClass | undefined> {
    signal.throwIfAborted()
    return this.#runtimeClasses.get(name)
  }

  async clusterTrustBundles(signal: AbortSignal): Promise<readonly ClusterTrustBundle[]> {
    signal.throwIfAborted()
    return []
  }

  async requestCertificate(): Promise<string> {
    throw new SpillwayError('Unavailable', 'no signers here')
  }

  async certificateRequest(): Promise<PodCertificateRequest | undefined> {
    return undefined
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}
