import type { PodRef, PodUid } from './pod-key.ts'

/**
 * What a backend measures. All times are the backend's own, in wall milliseconds; counters only grow while the thing
 * that they count lives. What the backend does not measure is left out, never guessed.
 */
export interface BackendUsage {
  /** Every Pod of ours whose sandbox runs. */
  readonly pods: readonly PodUsage[]
  /** The file system of Pods' logs and volumes. */
  readonly disk?: FilesystemUsage
  /** Where images and containers' writable layers lie; used: what they take together. Only with `storage`. */
  readonly images?: FilesystemUsage
  /** How many processes and threads the machine can have. */
  readonly mostProcesses?: bigint
}

export interface UsageOptions {
  /** Also what is used on disk: that walks through directories, and is kept for longer. */
  readonly storage: boolean
  /** Of these Pods only. Default: of all. */
  readonly storageOf?: ReadonlySet<PodUid>
}

export interface PodUsage extends PodRef {
  readonly nodeName: string
  /** The sandbox's creation. */
  readonly startedAtMs: number
  /** Of the Pod's own cgroup: all containers and the sandbox. */
  readonly cpu?: CpuUsage
  readonly memory?: MemoryUsage
  readonly io?: IoUsage
  readonly network?: NetworkUsage
  readonly processes?: bigint
  /** Those that run, in no order. */
  readonly containers: readonly ContainerUsage[]
  /** Left out unless asked for. */
  readonly volumes?: readonly VolumeUsage[]
  /** What does not belong to one container or volume: `/etc/hosts`. */
  readonly otherFiles?: FilesystemUsage
}

export interface ContainerUsage {
  readonly name: string
  /** The container's creation. */
  readonly startedAtMs: number
  readonly cpu?: CpuUsage
  readonly memory?: MemoryUsage
  readonly io?: IoUsage
  /** The writable layer; used: by this container alone. */
  readonly root?: FilesystemUsage
  /** Left out unless asked for. All files of the container's log, rotated ones too. */
  readonly logs?: FilesystemUsage
}

export interface CpuUsage {
  readonly atMs: number
  /** Of all cores together, since the start. */
  readonly totalNanos: bigint
  /** Nanoseconds per second, over the last seconds. */
  readonly rateNanos?: bigint
  readonly pressure?: Pressure
}

export interface MemoryUsage {
  readonly atMs: number
  readonly usageBytes?: bigint
  /** Usage without what the kernel could drop: file pages not used of late. */
  readonly workingSetBytes?: bigint
  readonly rssBytes?: bigint
  /** Left out without a limit. */
  readonly availableBytes?: bigint
  readonly pageFaults?: bigint
  readonly majorPageFaults?: bigint
  readonly pressure?: Pressure
}

export interface IoUsage {
  readonly atMs: number
  readonly pressure?: Pressure
}

/** The kernel's PSI, on cgroups v2. */
export interface Pressure {
  readonly full: PressureShare
  readonly some: PressureShare
}

export interface PressureShare {
  readonly totalNanos: bigint
  /** Percent of the last 10, 60, 300 s. */
  readonly avg10: number
  readonly avg60: number
  readonly avg300: number
}

export interface NetworkUsage {
  readonly atMs: number
  readonly interfaces: readonly InterfaceUsage[]
}

export interface InterfaceUsage {
  readonly name: string
  readonly receivedBytes: bigint
  readonly receiveErrors: bigint
  readonly sentBytes: bigint
  readonly sendErrors: bigint
}

export interface VolumeUsage extends FilesystemUsage {
  readonly name: string
  /** On the same disk as the Pod's own files, so that it counts as ephemeral storage. */
  readonly local: boolean
  /** Of a PersistentVolumeClaim, in the Pod's namespace. */
  readonly claim?: string
}

/** Part of a file system, and the room on the whole of it. */
export interface FilesystemUsage {
  readonly atMs: number
  readonly usedBytes?: bigint
  readonly usedInodes?: bigint
  readonly capacityBytes?: bigint
  readonly availableBytes?: bigint
  readonly inodes?: bigint
  readonly freeInodes?: bigint
}
