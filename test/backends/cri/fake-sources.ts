import type {
  BoundToken,
  NodeFacts,
  PodSources,
  TokenRequest,
  WantedCertificate,
} from '../../../src/backends/backend.ts'
import { PodCertificates } from '../../../src/backends/cri/volumes/pod-certificates.ts'
import { ServiceAccountTokens } from '../../../src/backends/cri/volumes/service-account-tokens.ts'
import type { MountOptions, VolumesInput } from '../../../src/backends/cri/volumes/volumes.ts'
import type { Clock } from '../../../src/model/clock.ts'
import type {
  ClusterTrustBundle,
  ConfigMap,
  Container,
  Pod,
  PodCertificateRequest,
  PodSpec,
  RuntimeClass,
  Secret,
} from '../../../src/model/kubernetes.ts'
import { SpillwayError } from '../../../src/model/errors.ts'

/** ConfigMaps, Secrets and tokens from plain maps that a test changes as it goes. */
export class FakeSources implements PodSources {
  readonly configMaps = new Map<string, ConfigMap>()
  readonly secrets = new Map<string, Secret>()
  readonly services = new Map<string, string>()
  readonly tokenRequests: TokenRequest[] = []
  readonly trustBundles: ClusterTrustBundle[] = []
  /** By name: what was asked for, and what became of it. */
  readonly certificateRequests = new Map<string, PodCertificateRequest>()
  readonly wantedCertificates: WantedCertificate[] = []
  readonly listeners = new Set<() => void>()
  nextToken: BoundToken | undefined
  node: NodeFacts = {
    name: 'burst-0',
    ips: ['10.0.0.5', 'fd00::5'],
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    allocatableCpuMillis: 3500n,
    allocatableMemoryBytes: 4n << 30n,
  }

  async configMap(name: string): Promise<ConfigMap | undefined> {
    return this.configMaps.get(name)
  }

  async secret(name: string): Promise<Secret | undefined> {
    return this.secrets.get(name)
  }

  async serviceAccountToken(request: TokenRequest): Promise<BoundToken> {
    this.tokenRequests.push(request)
    if (!this.nextToken) throw new SpillwayError('Unavailable', 'no tokens today')
    return this.nextToken
  }

  async serviceEnvironment(): Promise<ReadonlyMap<string, string>> {
    return this.services
  }

  async runtimeClass(): Promise<RuntimeClass | undefined> {
    return undefined
  }

  async clusterTrustBundles(): Promise<readonly ClusterTrustBundle[]> {
    return this.trustBundles
  }

  async requestCertificate(wanted: WantedCertificate): Promise<string> {
    this.wantedCertificates.push(wanted)
    return `req-${this.wantedCertificates.length}`
  }

  async certificateRequest(name: string): Promise<PodCertificateRequest | undefined> {
    return this.certificateRequests.get(name)
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Something that was read has changed. */
  change(): void {
    for (const listener of this.listeners) listener()
  }
}

/** Tokens and certificates of a Pod, due without jitter. */
export function credentialsFrom(
  sources: PodSources,
  clock: Clock,
): Pick<VolumesInput, 'tokens' | 'certificates'> {
  const random = (): number => 0
  return {
    tokens: new ServiceAccountTokens(sources, clock, random),
    certificates: new PodCertificates({ sources, clock, random, tell: () => {} }),
  }
}

export function secretOf(text: Readonly<Record<string, string>>): Secret {
  const entries = Object.entries(text).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
  return { data: Object.fromEntries(entries) as Record<string, string> }
}

export function podOf(spec: Partial<PodSpec>, metadata: Pod['metadata'] = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'shop', uid: 'uid-1', ...metadata },
    spec: { containers: [containerOf({})], ...spec },
  }
}

export function containerOf(fields: Partial<Container>): Container {
  return { name: 'app', image: 'registry.k8s.io/pause:3.10.2', ...fields }
}

/** Mounts without variables, images or a runtime that can do more. */
export const plainMounts: MountOptions = {
  environment: new Map(),
  images: new Map(),
  recursiveReadOnly: false,
}
