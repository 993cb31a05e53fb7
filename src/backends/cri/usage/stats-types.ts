import type { CriMetadata, Int64, Int64Value, SandboxMetadata, StringMap } from '../runtime/cri-types.ts'

/** CRI's answers about usage, in the shape that cri-types.ts tells of. Times are nanoseconds since the epoch. */
export interface PodSandboxStats {
  readonly attributes: {
    readonly id: string
    readonly metadata: SandboxMetadata
    readonly labels: StringMap
  } | null
  readonly linux: {
    readonly cpu: CpuStats | null
    readonly memory: MemoryStats | null
    readonly io: IoStats | null
    readonly network: NetworkStats | null
    readonly process: { readonly processCount: Int64Value | null } | null
    readonly containers: readonly ContainerStats[]
  } | null
}

export interface ContainerStats {
  readonly attributes: { readonly id: string; readonly metadata: CriMetadata } | null
  /** Null when it does not run. */
  readonly cpu: CpuStats | null
  readonly memory: MemoryStats | null
  readonly io: IoStats | null
  readonly writableLayer: FilesystemStats | null
}

export interface CpuStats {
  readonly timestamp: Int64
  readonly usageCoreNanoSeconds: Int64Value | null
  readonly usageNanoCores: Int64Value | null
  readonly psi: PsiStats | null
}

export interface MemoryStats {
  readonly timestamp: Int64
  readonly workingSetBytes: Int64Value | null
  readonly availableBytes: Int64Value | null
  readonly usageBytes: Int64Value | null
  readonly rssBytes: Int64Value | null
  readonly pageFaults: Int64Value | null
  readonly majorPageFaults: Int64Value | null
  readonly psi: PsiStats | null
}

export interface IoStats {
  readonly timestamp: Int64
  readonly psi: PsiStats | null
}

/** The fields are spelled with capitals in the definition. */
export interface PsiStats {
  readonly Full: PsiData | null
  readonly Some: PsiData | null
}

export interface PsiData {
  readonly Total: Int64
  readonly Avg10: number
  readonly Avg60: number
  readonly Avg300: number
}

export interface NetworkStats {
  readonly timestamp: Int64
  readonly defaultInterface: InterfaceStats | null
  readonly interfaces: readonly InterfaceStats[]
}

export interface InterfaceStats {
  readonly name: string
  readonly rxBytes: Int64Value | null
  readonly rxErrors: Int64Value | null
  readonly txBytes: Int64Value | null
  readonly txErrors: Int64Value | null
}

export interface FilesystemStats {
  readonly timestamp: Int64
  readonly fsId: { readonly mountpoint: string } | null
  readonly usedBytes: Int64Value | null
  readonly inodesUsed: Int64Value | null
}
