import { formatBytes, formatCpu } from '../model/quantity.ts'
import type { Capabilities } from '../model/capability.ts'
import type { Node, NodeCondition, Taint } from '../model/kubernetes.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'
import { providerId, virtualNodeName } from '../model/virtual-node-name.ts'
import {
  appliedAnnotation,
  inUseAnnotation,
  poolLabel,
  retiringAnnotation,
  virtualInstanceType,
  virtualNodeTaintKey,
  virtualNodeType,
} from '../model/words.ts'
import { nodeFeatures, type NodeStatus } from './node-features.ts'

/** What a pool says about its nodes. */
export interface NodePool {
  readonly name: string
  /** Besides the built-in ones, which they cannot replace. */
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  /** Leaves the built-in taints out, so that every Pod may come. */
  readonly untainted: boolean
  /** Its nodes take no new Pods; what people cordon or uncordon by hand afterwards stays as they want it. */
  readonly cordoned: boolean
  /** By which handlers sandboxes are made on its nodes. */
  readonly sandbox: SandboxChoice
}

/** What is true of one node of the pool alone. */
export interface NodeUse {
  /** On its way out: it takes no new Pods, whatever people say. */
  readonly retiring: boolean
  /** Pods are there that have not ended: the Node is not to be deleted. */
  readonly inUse: boolean
}

/** What one virtual node offers. Static, so that Pods refused for room are not queued anew at each change. */
export interface NodeCapacity {
  readonly cpuMillis: bigint
  readonly memoryBytes: bigint
  readonly ephemeralStorageBytes: bigint
  readonly pods: number
  /** By resource name, in whole units. */
  readonly extended?: ReadonlyMap<string, bigint>
}

/** Where the node stands, truthfully. */
export interface NodePlace {
  /** The address at which the API server reaches the node's API. */
  readonly address: string
  readonly port: number
  /** In Go's words: `linux`, `amd64`. */
  readonly os: string
  readonly architecture: string
  readonly kernelVersion: string
  readonly osImage: string
  readonly machineId: string
  readonly zone?: string
  readonly region?: string
}

export interface NodeVersions {
  /** `gitVersion` of the API server's /version, as in `v1.37.2`. */
  readonly server: string
  /** Ours, as in `0.1.0`. */
  readonly spillway: string
  /** As in `containerd://2.4.2`. */
  readonly runtime: string
}

export interface NodeInput {
  readonly pool: NodePool
  readonly use: NodeUse
  readonly ordinal: number
  readonly capacity: NodeCapacity
  readonly place: NodePlace
  readonly versions: NodeVersions
  /** The backend's. */
  readonly capabilities: Capabilities
}

/** The Node as it is created. No images: the scheduler would score by them and prefer the virtual node. */
export function nodeObject(input: NodeInput, conditions: readonly NodeCondition[]): Node {
  const { pool, ordinal, use } = input
  const labels = nodeLabels(input)
  const taints = nodeTaints(pool)
  const cordoned = pool.cordoned || use.retiring
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: virtualNodeName(pool.name, ordinal),
      labels,
      annotations: {
        [appliedAnnotation]: appliedKeys(labels, taints, cordoned ? 'ours' : undefined),
        [inUseAnnotation]: String(use.inUse),
        ...(use.retiring && { [retiringAnnotation]: 'true' }),
      },
    },
    spec: {
      providerID: providerId(pool.name, ordinal),
      taints,
      ...(cordoned && { unschedulable: true }),
    },
    status: nodeStatus(input, conditions),
  }
}

/** Two exclusions: load balancers cannot reach a virtual node, and lost ones must not stop evictions from servers. */
export function nodeLabels({ pool, ordinal, place }: NodeInput): Record<string, string> {
  return {
    ...pool.labels,
    type: virtualNodeType,
    'node.kubernetes.io/instance-type': virtualInstanceType,
    'kubernetes.io/hostname': virtualNodeName(pool.name, ordinal),
    'kubernetes.io/os': place.os,
    'kubernetes.io/arch': place.architecture,
    'node.kubernetes.io/exclude-from-external-load-balancers': 'true',
    'node.kubernetes.io/exclude-disruption': 'true',
    [poolLabel]: pool.name,
    ...(place.zone && { 'topology.kubernetes.io/zone': place.zone }),
    ...(place.region && { 'topology.kubernetes.io/region': place.region }),
  }
}

/**
 * Two taints of one key: the first keeps all Pods off that are not let on; the second, which nothing tolerates, goes on
 * preferring a server that has become free meanwhile.
 */
export function nodeTaints(pool: NodePool): Taint[] {
  const own = { key: virtualNodeTaintKey, value: pool.name }
  const builtIn = [
    { ...own, effect: 'NoSchedule' },
    { ...own, effect: 'PreferNoSchedule' },
  ]
  const extra = pool.taints.filter(({ key }) => key !== virtualNodeTaintKey)
  return pool.untainted ? extra : [...builtIn, ...extra]
}

/** While a pool wishes its node cordoned: whether it was so before, which it then stays. */
export type CordonMark = 'ours' | 'theirs'

/** The annotation that tells later which labels and taints are ours, and whether the cordon is. */
export function appliedKeys(
  labels: Readonly<Record<string, string>>,
  taints: readonly Taint[],
  cordon: CordonMark | undefined,
): string {
  const keys = [...new Set(taints.map(({ key }) => key))].sort()
  return JSON.stringify({
    labels: Object.keys(labels).sort(),
    taints: keys,
    ...(cordon && { cordon }),
  })
}

export function nodeStatus(input: NodeInput, conditions: readonly NodeCondition[]): NodeStatus {
  const { pool, ordinal, place, versions } = input
  const resources = resourceList(input.capacity)
  return {
    capacity: resources,
    allocatable: resources,
    conditions: [...conditions],
    addresses: [
      { type: 'InternalIP', address: place.address },
      { type: 'Hostname', address: virtualNodeName(pool.name, ordinal) },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: place.port } },
    nodeInfo: {
      architecture: place.architecture,
      bootID: '',
      containerRuntimeVersion: versions.runtime,
      kernelVersion: place.kernelVersion,
      kubeProxyVersion: '',
      kubeletVersion: kubeletVersion(versions),
      machineID: place.machineId,
      operatingSystem: place.os,
      osImage: place.osImage,
      systemUUID: '',
    },
    ...nodeFeatures(input.capabilities, { minor: minorVersion(versions.server), choice: pool.sandbox }),
  }
}

function resourceList(capacity: NodeCapacity): Record<string, string> {
  return {
    cpu: formatCpu(capacity.cpuMillis),
    memory: formatBytes(capacity.memoryBytes),
    'ephemeral-storage': formatBytes(capacity.ephemeralStorageBytes),
    pods: String(capacity.pods),
    ...Object.fromEntries([...(capacity.extended ?? [])].map(([name, amount]) => [name, String(amount)])),
  }
}

function minorVersion(server: string): number {
  return Number(/^v\d+\.(\d+)/.exec(server)?.[1] ?? 0)
}

/**
 * The server's version with ours as pre-release: a semantic version, of the server's minor version (tools refuse a
 * kubelet that is newer than its server, and skip features for one that is older), and it does not claim a kubelet.
 */
export function kubeletVersion({ server, spillway }: NodeVersions): string {
  const [release] = /^v\d+\.\d+\.\d+/.exec(server) ?? []
  if (!release) throw new Error(`the API server calls its version "${server}"; expected as in v1.37.2`)
  return `${release}-spillway.${spillway}`
}
