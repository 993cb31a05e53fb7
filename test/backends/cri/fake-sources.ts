import type { BoundToken, NodeFacts, PodSources, TokenRequest } from '../../../src/backends/backend.ts'
import type { MountOptions } from '../../../src/backends/cri/volumes/volumes.ts'
import type {
  ConfigMap,
  Container,
  Pod,
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

  onChange(): () => void {
    return () => {}
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
