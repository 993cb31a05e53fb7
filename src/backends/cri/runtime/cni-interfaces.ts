import type { StringMap } from './cri-types.ts'

/** An interface in the result of the CNI plugins, as containerd keeps it. */
export interface CniInterface {
  readonly Mac?: string
  /** Of the network namespace that it is in; empty: the machine's. */
  readonly Sandbox?: string
}

/** By name. */
export type CniInterfaces = Readonly<Record<string, CniInterface>>

interface CniResult {
  readonly Interfaces?: CniInterfaces | null
}

/** From what PodSandboxStatus says beyond the status; none where the runtime tells of none. */
export function cniInterfacesInInfo(info: StringMap): CniInterfaces {
  const { cniResult } = JSON.parse(info['info'] ?? '{}') as { readonly cniResult?: CniResult | null }
  return cniResult?.Interfaces ?? {}
}

/** From what containerd's CRI plugin keeps of a sandbox; undefined in a version that we do not know. */
export function cniInterfacesInMetadata(text: string): CniInterfaces | undefined {
  const { Version: version, Metadata: metadata } = JSON.parse(text) as {
    readonly Version?: string
    readonly Metadata?: { readonly CNIResult?: CniResult | null }
  }
  return version === 'v1' ? (metadata?.CNIResult?.Interfaces ?? undefined) : undefined
}
