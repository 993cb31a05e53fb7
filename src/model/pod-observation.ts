import type { ResourceRequirements } from './kubernetes.ts'
import type { PodRef } from './pod-key.ts'
import type { PodResources } from './pod-resources.ts'

/**
 * What a backend sees of one Pod, in one picture. Times are the backend's own, in wall milliseconds. The picture is
 * whole every time (level-triggered): nothing has to be remembered from earlier ones.
 */
export interface PodObservation extends PodRef {
  /** Name of the virtual node that the Pod was started for. */
  readonly nodeName: string
  /** 0 for the first sandbox; each replacement of a lost sandbox adds one. Part of the ledger's key. */
  readonly incarnation: number
  /**
   * Whether `start` has been called for this Pod in this life of the process, so that the backend restarts, probes
   * and refreshes it. After a restart of ours everything is listed unsupervised until `start` is called again.
   */
  readonly supervised: boolean
  /** `metadata.generation` of the Pod that the backend acts on; 0 while unsupervised. */
  readonly generation: number
  readonly phase: BackendPhase
  /** Why the Pod cannot get further just now, in kubelet's words (`FailedCreatePodSandBox`, `FailedMount`). */
  readonly trouble?: { readonly reason: string; readonly message: string }
  /** An exit has asked for all containers to begin anew, and those that ran are being ended for it. */
  readonly restartingAll?: true
  readonly sandbox?: SandboxObservation
  /** Absent: this backend runs Pods at the size that they came with. */
  readonly allocation?: AllocationObservation
  /** What is in effect for the Pod as a whole, as far as the backend can tell; without what is unlimited. */
  readonly resources?: ResourceRequirements
  /** Init containers first, in the order of the spec, then containers, then ephemeral ones. */
  readonly containers: readonly ContainerObservation[]
}

/**
 * - `starting`: accepted; no regular container has run yet
 * - `running`: at least one regular container has been started and the Pod is not finished
 * - `stopping`: `stop` was called, or the Pod is being ended by its own rules; nothing is ever started again
 * - `stopped`: no process is left; exit codes, logs and times stay until `forget`
 */
export type BackendPhase = 'starting' | 'running' | 'stopping' | 'stopped'

export interface SandboxObservation {
  readonly id: string
  /** Resources are held, and billed, from here on. */
  readonly createdAtMs: number
  readonly ready: boolean
  /** Primary first; empty until the network is up. */
  readonly podIps: readonly string[]
}

/** What was set aside for the Pod: the resources in the spec of the first `start`, then of each `update`. */
export interface AllocationObservation {
  /** `metadata.generation` of the Pod that asked for it. */
  readonly generation: number
  readonly resources: PodResources
  /** Since when all of it is in effect; absent while a resize is under way. */
  readonly inEffectAtMs?: number
  /** Why the resize does not get further just now, in kubelet's words. It is tried again. */
  readonly error?: string
}

export type ContainerKind = 'init' | 'sidecar' | 'main' | 'ephemeral'

export interface ContainerObservation {
  readonly name: string
  readonly kind: ContainerKind
  /** With the runtime's scheme, as in `containerd://…`. */
  readonly containerId?: string
  readonly image: string
  readonly imageId?: string
  readonly state: ContainerRunState
  /** How the attempt before this one ended. */
  readonly lastTerminated?: TerminatedState
  readonly restartCount: number
  /** Who its first process began as; left out where the backend does not know. */
  readonly user?: ContainerUser
  /** Where it has mounts that are read-only with everything mounted below them. */
  readonly recursiveReadOnlyPaths?: readonly string[]
  /** As in `SIGTERM` or `SIGRTMIN+1`; told by runtimes that know it. */
  readonly stopSignal?: string
  /** The startup probe has succeeded, or there is none and the container runs, its postStart hook done. */
  readonly started: boolean
  /** The readiness probe has succeeded, or there is none and the container is `started`. */
  readonly ready: boolean
  /** What is in effect for a running container, as far as the backend can tell; without what is unlimited. */
  readonly resources?: ResourceRequirements
}

export interface ContainerUser {
  readonly uid: number
  readonly gid: number
  readonly supplementalGroups: readonly number[]
}

export type ContainerRunState =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  | TerminatedState

export interface TerminatedState {
  readonly kind: 'terminated'
  readonly exitCode: number
  readonly signal?: number
  /** `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, … */
  readonly reason: string
  readonly message?: string
  readonly startedAtMs: number
  readonly finishedAtMs: number
  readonly containerId?: string
}

/** The end of the last container to end, or undefined when none has run or one still does. */
export function lastFinishedAtMs(observed: PodObservation): number | undefined {
  let latest: number | undefined
  for (const container of observed.containers) {
    if (container.state.kind === 'running') return undefined
    for (const ended of [container.state, container.lastTerminated]) {
      if (ended?.kind !== 'terminated') continue
      if (latest === undefined || ended.finishedAtMs > latest) latest = ended.finishedAtMs
    }
  }
  return latest
}
