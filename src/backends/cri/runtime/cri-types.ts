/**
 * The CRI messages that we use, as @grpc/proto-loader gives them with our options: camelCase, int64 as decimal text,
 * enums as their names, every field of an answer present. Requests may leave fields out.
 */
export type Int64 = string

export interface Int64Value {
  readonly value: Int64 | number
}

export interface CriMetadata {
  readonly name: string
  readonly attempt: number
}

export interface SandboxMetadata extends CriMetadata {
  readonly uid: string
  readonly namespace: string
}

export type StringMap = Readonly<Record<string, string>>

export interface SandboxStatus {
  readonly id: string
  readonly metadata: SandboxMetadata
  readonly state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'
  readonly createdAt: Int64
  readonly network: {
    readonly ip: string
    readonly additionalIps: readonly { readonly ip: string }[]
  } | null
  readonly labels: StringMap
  readonly annotations: StringMap
  /** Left out by runtimes of old: they have one. */
  readonly runtimeHandler?: string
  /** Left out by what a test makes up; null from a runtime that does not tell. */
  readonly linux?: {
    readonly namespaces: { readonly options: Pick<NamespaceOptions, 'network'> | null } | null
  } | null
}

/** What ListPodSandbox says: no addresses, no namespaces. */
export type SandboxItem = Omit<SandboxStatus, 'network' | 'linux'>

export type ContainerStateName =
  'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN'

export interface ContainerStatus {
  readonly id: string
  readonly metadata: CriMetadata
  readonly state: ContainerStateName
  readonly createdAt: Int64
  readonly startedAt: Int64
  readonly finishedAt: Int64
  readonly exitCode: number
  readonly image: { readonly image: string; readonly userSpecifiedImage: string } | null
  readonly imageRef: string
  readonly imageId: string
  /** Who its first process began as; null where the runtime does not tell. */
  readonly user: { readonly linux: LinuxUser | null } | null
  readonly reason: string
  readonly message: string
  readonly labels: StringMap
  readonly annotations: StringMap
  readonly logPath: string
  readonly stopSignal: string
  readonly mounts: readonly {
    readonly containerPath: string
    readonly recursiveReadOnly: boolean
    /** Of a volume that is an image: by its id. */
    readonly image: { readonly image: string } | null
  }[]
  /** What is in effect; null from a runtime that does not tell. */
  readonly resources: { readonly linux: RuntimeResources | null } | null
}

export interface LinuxUser {
  readonly uid: Int64
  readonly gid: Int64
  readonly supplementalGroups: readonly Int64[]
}

export interface ContainerItem {
  readonly id: string
  readonly podSandboxId: string
  readonly metadata: CriMetadata
  readonly state: ContainerStateName
  readonly labels: StringMap
  /** Of the image, as the runtime knows it; '' from an old one. */
  readonly imageId: string
  /** By which the container was made: an id, a tag or a digest. */
  readonly imageRef: string
}

export interface SandboxConfig {
  readonly metadata: SandboxMetadata
  readonly hostname: string
  readonly logDirectory: string
  readonly dnsConfig?: {
    readonly servers: readonly string[]
    readonly searches: readonly string[]
    readonly options: readonly string[]
  }
  readonly portMappings: readonly PortMapping[]
  readonly labels: StringMap
  readonly annotations: StringMap
  readonly linux: {
    readonly cgroupParent: string
    readonly sysctls: StringMap
    readonly securityContext: SandboxSecurity
    readonly resources?: LinuxResources
    readonly overhead?: LinuxResources
  }
}

export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET'

export interface NamespaceOptions {
  readonly network: NamespaceMode
  readonly pid: NamespaceMode
  readonly ipc: NamespaceMode
  /** With `pid: TARGET`: the container whose processes are seen. */
  readonly targetId?: string
  readonly usernsOptions: {
    readonly mode: NamespaceMode
    readonly uids?: readonly IdMapping[]
    readonly gids?: readonly IdMapping[]
  }
}

export interface IdMapping {
  readonly hostId: number
  readonly containerId: number
  readonly length: number
}

export interface SecurityProfile {
  readonly profileType: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
  /** With `Localhost`: the file of a seccomp profile, the name of an AppArmor profile. */
  readonly localhostRef?: string
}

export interface SandboxSecurity {
  readonly namespaceOptions: NamespaceOptions
  readonly runAsUser?: Int64Value
  readonly runAsGroup?: Int64Value
  readonly supplementalGroups?: readonly number[]
  readonly supplementalGroupsPolicy?: 'Merge' | 'Strict'
  readonly privileged: boolean
  readonly seccomp: SecurityProfile
}

export interface ContainerSecurity {
  readonly namespaceOptions: NamespaceOptions
  readonly capabilities?: {
    readonly addCapabilities: readonly string[]
    readonly dropCapabilities: readonly string[]
  }
  readonly privileged: boolean
  readonly runAsUser?: Int64Value
  readonly runAsGroup?: Int64Value
  readonly runAsUsername?: string
  readonly readonlyRootfs: boolean
  readonly supplementalGroups: readonly number[]
  readonly supplementalGroupsPolicy?: 'Merge' | 'Strict'
  readonly noNewPrivs: boolean
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  readonly seccomp: SecurityProfile
  readonly apparmor?: SecurityProfile
}

export interface LinuxResources {
  readonly cpuPeriod?: number
  readonly cpuQuota?: number
  readonly cpuShares?: number
  /** Text, because a memory limit may exceed 2^53. */
  readonly memoryLimitInBytes?: Int64
  readonly memorySwapLimitInBytes?: Int64
  readonly oomScoreAdj?: number
  readonly hugepageLimits?: readonly HugepageLimit[]
  /** Files of cgroup v2 by name. */
  readonly unified?: StringMap
}

export interface HugepageLimit {
  /** As in `2MB`. */
  readonly pageSize: string
  readonly limit: Int64
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly containerPort: number
  readonly hostPort: number
  readonly hostIp: string
}

export type MountPropagation =
  'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL'

/** As the runtime tells them of a container: 0 stands for what is not limited. */
export interface RuntimeResources {
  readonly cpuPeriod: Int64
  readonly cpuQuota: Int64
  readonly cpuShares: Int64
  readonly memoryLimitInBytes: Int64
}

export interface MountConfig {
  readonly containerPath: string
  /** '' when an image is mounted. */
  readonly hostPath: string
  readonly readonly: boolean
  readonly propagation: MountPropagation
  readonly uidMappings?: readonly IdMapping[]
  readonly gidMappings?: readonly IdMapping[]
  /** With `readonly`: what is mounted below is read-only too. */
  readonly recursiveReadOnly?: boolean
  readonly image?: ImageSpec
  /** A directory of the image instead of its root; '' is the root. */
  readonly imageSubPath?: string
}

export interface ImageSpec {
  readonly image: string
  readonly userSpecifiedImage: string
  readonly runtimeHandler: string
  readonly annotations: StringMap
}

export interface ContainerConfig {
  readonly metadata: CriMetadata
  readonly image: { readonly image: string; readonly userSpecifiedImage: string }
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly envs: readonly { readonly key: string; readonly value: Buffer }[]
  readonly mounts: readonly MountConfig[]
  readonly labels: StringMap
  readonly annotations: StringMap
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  /** As in `SIGNAL_SIGUSR1`. */
  readonly stopSignal?: string
  readonly linux: { readonly resources: LinuxResources; readonly securityContext: ContainerSecurity }
}

export interface CriImage {
  readonly id: string
  readonly repoTags: readonly string[]
  readonly repoDigests: readonly string[]
  readonly size: Int64
  /** The runtime's own, such as that of its sandboxes: not to be removed. */
  readonly pinned: boolean
  readonly uid: { readonly value: Int64 } | null
  readonly username: string
}

export interface ImageAuth {
  readonly username: string
  readonly password: string
}

export interface RuntimeCondition {
  readonly type: string
  readonly status: boolean
  readonly reason: string
  readonly message: string
}

export interface RuntimeHandler {
  /** '' is the default one. */
  readonly name: string
  readonly features: { readonly recursiveReadOnlyMounts: boolean; readonly userNamespaces: boolean } | null
}

export interface RuntimeStatus {
  readonly status: { readonly conditions: readonly RuntimeCondition[] } | null
  readonly info: StringMap
  readonly runtimeHandlers: readonly RuntimeHandler[]
  readonly features: { readonly supplementalGroupsPolicy: boolean } | null
}

export interface ContainerEvent {
  readonly containerId: string
  readonly containerEventType: string
  readonly createdAt: Int64
  readonly podSandboxStatus: SandboxStatus | null
}

/** Nanoseconds since the epoch to whole milliseconds; 0 stays 0 (CRI's "not yet"). */
export function nanosToMs(nanos: Int64): number {
  return Number(BigInt(nanos) / 1_000_000n)
}
