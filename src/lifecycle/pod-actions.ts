import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation } from '../model/pod-observation.ts'
import { planInit } from './init-containers.ts'
import { Round } from './round.ts'
import { lastEnd, shouldRestart } from './restart-policy.ts'

/** What kubelet calls computePodActions: what has to be done next for one Pod's containers. Pure. */
export interface PodActionsInput {
  readonly pod: Pod
  /** The current sandbox, or the last one: a replacement's attempt number goes on from it. */
  readonly sandbox: { readonly ready: boolean; readonly attempt: number } | undefined
  /**
   * What was observed of each container that has been created and started at least once, in its raw state: `running`
   * or `terminated`, with the end of the attempt before in `lastTerminated` (the back-off is read off these two).
   * `restartCount` is the attempt number of what is described. A container that was created and could not be started
   * either has a `terminated` state (`ContainerCannotRun`) or is left out.
   */
  readonly containers: readonly ContainerObservation[]
  /** Names of those whose last attempt ran in an earlier sandbox. Init containers among them run again. */
  readonly ofEarlierSandbox?: ReadonlySet<string>
  /** Running containers whose probe asks for their end (`probe-state.ts`). */
  readonly failedProbes?: ReadonlyMap<string, 'liveness' | 'startup'>
  /** Running containers whose image in the spec is another, and those that were killed for it and still are to run. */
  readonly changed?: ReadonlySet<string>
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
  /** Sidecars that are done with are listed in the order to end them: the last to start is the first to go. */
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

const nothing: PodActions = { killPod: false, start: [], kill: [], waiting: [] }

export function podActions(input: PodActionsInput): PodActions {
  const running = input.containers.some((container) => container.state.kind === 'running')
  if (input.stopping) return { ...nothing, killPod: running || input.sandbox?.ready === true }
  // The API server has seen a DELETE; our `stop` is on its way. Kubelet starts nothing from here on either.
  if (input.pod.metadata?.deletionTimestamp) return nothing
  if (!input.sandbox?.ready) return withoutSandbox(input, running)

  const round = new Round(input)
  const initialized = planInit(round)
  planEphemeral(round)
  if (initialized === 'failed') return finish(round, 'Failed')
  if (initialized === 'initializing') {
    for (const container of mainContainers(input.pod)) round.waitFirst(container)
    return round.actions()
  }
  return planMain(round)
}

function planMain(round: Round): PodActions {
  const { pod } = round.input
  let alive = 0
  let failures = 0
  for (const container of mainContainers(pod)) {
    const seen = round.seen(container.name)
    if (seen?.state.kind === 'running') {
      round.killIfUnwell(container)
      alive++
      continue
    }
    const ended = lastEnd(seen)
    const again = round.input.changed?.has(container.name)
    if (!ended || again || shouldRestart(container, pod, ended.exitCode)) {
      round.startOrWait(container, 'main')
      alive++
    } else if (ended.exitCode !== 0) {
      failures++
    }
  }
  return alive > 0 ? round.actions() : finish(round, failures > 0 ? 'Failed' : 'Succeeded')
}

function planEphemeral(round: Round): void {
  // They run beside anything, also while the Pod initializes, and never again.
  for (const container of round.input.pod.spec?.ephemeralContainers ?? []) {
    if (!round.seen(container.name)) round.startOrWait(container, 'ephemeral')
  }
}

/** The sidecars and whatever else still runs have nothing left to serve. */
function finish(round: Round, phase: 'Succeeded' | 'Failed'): PodActions {
  const running = new Set(
    round.input.containers.filter((seen) => seen.state.kind === 'running').map((seen) => seen.name),
  )
  const kill = (round.input.pod.spec?.initContainers ?? [])
    .filter((container) => running.has(container.name))
    .toReversed()
    .map(({ name }): ContainerKill => {
      return { name, reason: 'SidecarDone', message: `Stopping container ${name}: the Pod has ${phase}` }
    })
  return { ...nothing, killPod: true, kill, finished: phase }
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
  for (const seen of input.containers) {
    if (seen.state.kind === 'running') {
      round.kill(seen.name, 'SandboxLost', `Stopping container ${seen.name}: its sandbox is lost`)
    }
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
  // Nothing was ever created in it: it is not a restart, whatever the policy.
  if (containers.length === 0) return false
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
