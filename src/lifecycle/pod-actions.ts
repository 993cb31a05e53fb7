import type { Container, Pod, ResourceRequirements } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation } from '../model/pod-observation.ts'
import { planInit } from './init-containers.ts'
import { Round } from './round.ts'
import { lastEnd, restartsAll, shouldRestart } from './restart-policy.ts'

/** What kubelet calls computePodActions: what has to be done next for one Pod's containers. Pure. */
export interface PodActionsInput {
  readonly pod: Pod
  /** The current sandbox, or the last one: a replacement's attempt number goes on from it. */
  readonly sandbox: { readonly ready: boolean; readonly attempt: number } | undefined
  readonly containers: readonly ContainerEvidence[]
  /** Running containers whose probe asks for their end (`probe-state.ts`). */
  readonly failedProbes?: ReadonlyMap<string, 'liveness' | 'startup'>
  /** Running containers that have to be made anew to get the size that is set aside for them. */
  readonly resizeRestarts?: ReadonlySet<string>
  /** The Pod is being ended: nothing may be started. */
  readonly stopping: boolean
  readonly nowMs: number
}

/**
 * What was observed of each container that has been created and started at least once, in its raw state: `running` or
 * `terminated`, with the end of the attempt before in `lastTerminated`. `restartCount` is the attempt number of what is
 * described. A container that was created and could not be started either has a `terminated` state
 * (`ContainerCannotRun`) or is left out.
 */
export interface ContainerEvidence extends ContainerObservation {
  /** Its last attempt ran in an earlier sandbox, or before all containers were made to begin anew. */
  readonly outdated?: 'newSandbox' | 'restartedAll'
  /** The back-off that was in force when the attempt was started. */
  readonly backoffMs?: number
  /** What the attempt was made with, as `givenResources` has it; absent where that is not known. */
  readonly given?: ResourceRequirements
  /** It was ended, with this message, so that it starts again at once, whatever the policy. Still running: again. */
  readonly restartOwed?: string
  /** Its postStart hook has not been carried out yet, or has failed. */
  readonly postStart?: 'pending' | { readonly failure: string }
}

export interface PodActions {
  /** A (new) sandbox is needed first, under this attempt number; nothing else is started in this round. */
  readonly createSandbox?: { readonly attempt: number }
  /** Every process of the Pod has to end: the sandbox is lost, or the Pod is finished or being stopped. */
  readonly killPod: boolean
  /**
   * An exit asked for all containers to begin anew: those that run are to be ended, in this order, and then everything
   * so far is outdated. Nothing else is done in this round.
   */
  readonly restartAll?: readonly string[]
  readonly start: readonly ContainerStart[]
  /** Running containers whose postStart hook is to be carried out now. What comes after them is not started yet. */
  readonly hooks: readonly string[]
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
  /** To be kept with the attempt, as evidence for the next restart. */
  readonly backoffMs: number
}

export interface ContainerKill {
  readonly name: string
  readonly reason:
    | 'LivenessFailed'
    | 'StartupFailed'
    | 'SpecChanged'
    | 'Resized'
    | 'SandboxLost'
    | 'PostStartFailed'
    | 'BrokenOff'
  readonly message: string
  readonly graceSeconds: number
  /** It starts again right after its end, without a wait and whatever the policy: to be kept with the attempt. */
  readonly restartAtOnce: boolean
}

export interface ContainerWait {
  readonly name: string
  readonly reason: 'PodInitializing' | 'ContainerCreating' | 'CrashLoopBackOff' | 'PostStartHookError'
  readonly message?: string
}

const nothing: PodActions = { killPod: false, start: [], hooks: [], kill: [], waiting: [] }

export function podActions(input: PodActionsInput): PodActions {
  const running = input.containers.some((container) => container.state.kind === 'running')
  if (input.stopping) return { ...nothing, killPod: running || input.sandbox?.ready === true }
  // The API server has seen a DELETE; our `stop` is on its way. Kubelet starts nothing from here on either.
  if (input.pod.metadata?.deletionTimestamp) return nothing
  const restartAll = planRestartAll(input)
  if (restartAll) return { ...nothing, restartAll }
  if (!input.sandbox?.ready) return withoutSandbox(input, running)

  const round = new Round(input)
  planEphemeral(round)
  const initialized = planInit(round)
  if (initialized === 'failed') return { ...nothing, killPod: true, finished: 'Failed' }
  if (initialized === 'initializing') {
    for (const container of mainContainers(input.pod)) round.waitFirst(container)
    return round.actions()
  }
  return planMain(round)
}

/** Those that run: main containers, then init ones. Undefined when no exit asks for it. */
function planRestartAll({ pod, containers }: PodActionsInput): string[] | undefined {
  const seen = new Map(containers.map((container) => [container.name, container]))
  const inOrder = [...mainContainers(pod), ...(pod.spec?.initContainers ?? [])]
  const asked = inOrder.some((container) => {
    const evidence = seen.get(container.name)
    if (evidence?.outdated === 'restartedAll' || evidence?.state.kind !== 'terminated') return false
    return restartsAll(container, evidence.state.exitCode)
  })
  if (!asked) return undefined
  return inOrder.map(({ name }) => name).filter((name) => seen.get(name)?.state.kind === 'running')
}

function planMain(round: Round): PodActions {
  const { pod } = round.input
  let alive = 0
  let failures = 0
  for (const container of mainContainers(pod)) {
    const seen = round.seen(container.name)
    if (seen?.state.kind === 'running') {
      if (round.tend(container, 'main') === 'ends') failures++
      else alive++
      continue
    }
    const ended = seen?.outdated === 'restartedAll' ? undefined : lastEnd(seen)
    if (!ended || seen?.restartOwed !== undefined || shouldRestart(container, pod, ended.exitCode)) {
      round.startOrWait(container, 'main')
      alive++
    } else if (ended.exitCode !== 0) {
      failures++
    }
  }
  if (alive > 0) return round.actions()
  // Whatever still runs has nothing left to serve.
  return { ...nothing, killPod: true, finished: failures > 0 ? 'Failed' : 'Succeeded' }
}

function planEphemeral(round: Round): void {
  // They run beside anything, also while the Pod initializes, and never again.
  for (const container of round.input.pod.spec?.ephemeralContainers ?? []) {
    if (!round.seen(container.name)) round.startOrWait(container, 'ephemeral')
  }
}

/** No sandbox, or a dead one: its containers are dead with it, and the Pod begins anew unless it is over. */
function withoutSandbox(input: PodActionsInput, running: boolean): PodActions {
  const { sandbox, pod } = input
  const lost = sandbox !== undefined
  const over = lost && isOverWithSandbox(input)
  if (over && !running) {
    return { ...nothing, killPod: true, finished: endedWell(input) ? 'Succeeded' : 'Failed' }
  }
  const round = new Round(input)
  for (const { name, state } of input.containers) {
    const message = `Stopping container ${name}: its sandbox is lost`
    if (state.kind === 'running') round.kill(name, 'SandboxLost', { message })
  }
  if (over) return { ...round.actions(), killPod: true }
  for (const container of [...(pod.spec?.initContainers ?? []), ...mainContainers(pod)]) {
    round.waitFirst(container)
  }
  return {
    ...round.actions(),
    killPod: lost,
    createSandbox: { attempt: sandbox ? sandbox.attempt + 1 : 0 },
  }
}

/** Whether a Pod that lost its sandbox gets no other: it may not restart, or has nothing left to do. */
function isOverWithSandbox({ pod, containers }: PodActionsInput): boolean {
  // Nothing was ever created in it, or it is to be made anew as a whole: it is not a restart, whatever the policy.
  if (containers.every(({ outdated }) => outdated === 'restartedAll')) return false
  if (pod.spec?.restartPolicy === 'Never') return true
  return mainContainers(pod).every((container) => {
    const ended = lastEnd(containers.find((seen) => seen.name === container.name))
    return ended?.exitCode === 0 && !shouldRestart(container, pod, 0)
  })
}

function endedWell({ pod, containers }: PodActionsInput): boolean {
  return mainContainers(pod).every(
    (container) => lastEnd(containers.find((seen) => seen.name === container.name))?.exitCode === 0,
  )
}

function mainContainers(pod: Pod): readonly Container[] {
  return pod.spec?.containers ?? []
}
