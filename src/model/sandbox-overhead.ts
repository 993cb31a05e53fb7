import type { SandboxKind } from './capability.ts'

/** What a sandbox takes besides its containers. */
export interface SandboxOverhead {
  readonly cpu: string
  readonly memory: string
}

/**
 * Measured (`npm run bench:sandbox`, docs/benchmarks.md), with room for three containers: of gVisor the kernel of the Pod's
 * own, and a file server for each container. Of Kata nothing was measured here.
 */
export const sandboxOverheads: Partial<Readonly<Record<SandboxKind, SandboxOverhead>>> = {
  gvisor: { cpu: '10m', memory: '48Mi' },
}
