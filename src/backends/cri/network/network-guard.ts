import type { SandboxStatus } from '../runtime/cri-types.ts'

/** What stands between the Pods' network and everything else. Sandboxes on the machine's own network are none of its business. */
export interface NetworkGuard {
  /** Before a sandbox is made. Rejects when it could not be guarded. */
  prepare(signal: AbortSignal): Promise<void>
  /** Before anything of the Pod runs in it: resolves once the sandbox is guarded. At once for one that is. */
  admit(sandbox: SandboxStatus, signal: AbortSignal): Promise<void>
  /** It has no network any more. */
  release(sandboxId: string): void
  /** Takes over which sandboxes there are, all of them, and mends what somebody else took away. Never rejects: see `trouble`. */
  follow(sandboxes: readonly SandboxStatus[], signal: AbortSignal): Promise<void>
  /** Why it cannot guard; undefined while it can. */
  readonly trouble: string | undefined
  /** Takes itself away when it guards nobody; for Pods that run on it stays as it is. */
  close(): Promise<void>
}

/** By option: Pods reach what they can. */
export const openNetwork: NetworkGuard = {
  prepare: () => Promise.resolve(),
  admit: () => Promise.resolve(),
  release: () => undefined,
  follow: () => Promise.resolve(),
  trouble: undefined,
  close: () => Promise.resolve(),
}
