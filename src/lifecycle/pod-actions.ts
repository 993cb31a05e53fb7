import type { Pod } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation } from '../model/pod-observation.ts'

/** What kubelet calls computePodActions: what has to be done next for one Pod's containers. Pure. */
export interface PodActionsInput {
  readonly pod: Pod
  /** The current sandbox, if one exists. */
  readonly sandbox: { readonly ready: boolean; readonly attempt: number } | undefined
  /** What was observed of each container that has been created at least once. */
  readonly containers: readonly ContainerObservation[]
  /** The Pod is being ended: nothing may be started. */
  readonly stopping: boolean
  readonly nowMs: number
}

export interface PodActions {
  /** A (new) sandbox is needed first, under this attempt number; nothing else is started in this round. */
  readonly createSandbox?: { readonly attempt: number }
  /** Every process of the Pod has to end: the sandbox is lost, or the Pod is finished or being stopped. */
  readonly killPod: boolean
  readonly start: readonly ContainerStart[]
  readonly kill: readonly ContainerKill[]
  /** For the status of what is not running: `PodInitializing`, `ContainerCreating`, `CrashLoopBackOff`. */
  readonly waiting: readonly ContainerWait[]
  /** Set when the Pod is over by its own restart policy: the phase that it ends in. */
  readonly finished?: 'Succeeded' | 'Failed'
  /** Ask again at this wall time (a restart back-off ends), if nothing happens before. */
  readonly wakeAtMs?: number
}

export interface ContainerStart {
  readonly name: string
  readonly kind: ContainerKind
  /** 0 for the first start. */
  readonly attempt: number
}

export interface ContainerKill {
  readonly name: string
  readonly reason: 'LivenessFailed' | 'StartupFailed' | 'SpecChanged' | 'SandboxLost' | 'SidecarDone'
  readonly message: string
}

export interface ContainerWait {
  readonly name: string
  readonly reason: 'PodInitializing' | 'ContainerCreating' | 'CrashLoopBackOff'
  readonly message?: string
}

export function podActions(_input: PodActionsInput): PodActions {
  throw new Error('lifecycle/pod-actions.ts is being written')
}
