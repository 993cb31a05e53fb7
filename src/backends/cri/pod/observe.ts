import type { ContainerEvidence } from '../../../lifecycle/pod-actions.ts'
import { podIpsAmong } from '../../../lifecycle/pod-ips.ts'
import { restartingAllContainers } from '../../../lifecycle/restart-policy.ts'
import type {
  AllocationObservation,
  BackendPhase,
  ContainerObservation,
  ContainerRunState,
  ContainerUser,
  PodObservation,
  SandboxObservation,
  TerminatedState,
} from '../../../model/pod-observation.ts'
import type { Pod, ResourceRequirements } from '../../../model/kubernetes.ts'
import type { PodRef } from '../../../model/pod-key.ts'
import type { SandboxOverhead } from '../../../model/sandbox-overhead.ts'
import type { NodeFacts } from '../../backend.ts'
import { nanosToMs, type ContainerStatus, type LinuxUser, type SandboxStatus } from '../runtime/cri-types.ts'
import { withoutArguments } from '../runtime/without-arguments.ts'
import type { AttemptNotes } from './attempt-notes.ts'
import { backoffOf, givenMark, hasPostStart, type ContainerPlan } from '../marks.ts'
import type { CpuMemory } from '../resources/linux-resources.ts'
import { containerInEffect, podInEffect } from '../resources/resources-in-effect.ts'
import { signalOf } from '../translate/stop-signal.ts'

/** A container of the runtime's, with what its status does not say. */
export interface SeenContainer {
  readonly status: ContainerStatus
  readonly sandboxId: string
  /** Read from its file, or its log, when it ended. */
  readonly message?: string
}

export interface RuntimeView {
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly SeenContainer[]
  /** What the Pod's own cgroup has, once that is known. */
  readonly podCgroup?: CpuMemory | undefined
}

/** Why a container does not run, for its status. */
export interface Waiting {
  readonly reason: string
  readonly message?: string
}

export interface Wellness {
  readonly started: boolean
  readonly ready: boolean
}

export interface ObserveInput {
  readonly ref: PodRef
  readonly nodeName: string
  readonly supervised: boolean
  readonly generation: number
  readonly plans: readonly ContainerPlan[]
  readonly view: RuntimeView
  /** What its cgroup has over what it asked for. */
  readonly room?: SandboxOverhead | undefined
  /** Why a container that does not run does not. */
  readonly waiting: ReadonlyMap<string, Waiting>
  readonly notes: Pick<AttemptNotes, 'of' | 'restartedAll'>
  /** By container id, of those that have probes or are adopted. */
  readonly wellness: ReadonlyMap<string, Wellness>
  readonly trouble: { readonly reason: string; readonly message: string } | undefined
  readonly allocation: AllocationObservation | undefined
  /** All containers are being made to begin anew. */
  readonly restartingAll: boolean
  /** The Pod is being ended; and whether everything of it has been taken down. */
  readonly ending: 'no' | 'under way' | 'done'
}

/** What the runtime has of one Pod, in the words of the contract. Pure. */
export function observePod(input: ObserveInput): PodObservation {
  const { ref, view, plans } = input
  const sandbox = currentSandbox(view.sandboxes)
  const containers = plans.map((plan) => observeContainer(plan, input))
  return {
    uid: ref.uid,
    namespace: ref.namespace,
    name: ref.name,
    nodeName: input.nodeName,
    incarnation: sandbox?.metadata.attempt ?? 0,
    supervised: input.supervised,
    generation: input.supervised ? input.generation : 0,
    phase: phaseOf(input.ending, containers),
    ...(input.trouble && { trouble: input.trouble }),
    ...(input.restartingAll && { restartingAll: true }),
    ...(sandbox && hasComeUp(sandbox) && { sandbox: observeSandbox(sandbox) }),
    ...(input.allocation && { allocation: input.allocation }),
    ...(view.podCgroup && { resources: podInEffect(view.podCgroup, input.room) }),
    containers,
  }
}

/**
 * The sandbox of the highest attempt, and of two with the same number the later: containerd brings back from its disk
 * ones that it had cleared away by half, under numbers that were given again meanwhile.
 */
export function currentSandbox(sandboxes: readonly SandboxStatus[]): SandboxStatus | undefined {
  return sandboxes.reduce<SandboxStatus | undefined>(
    (last, next) => (last && isLater(last, next) ? last : next),
    undefined,
  )
}

function isLater(one: SandboxStatus, other: SandboxStatus): boolean {
  const attempts = one.metadata.attempt - other.metadata.attempt
  return attempts !== 0 ? attempts > 0 : nanosToMs(one.createdAt) > nanosToMs(other.createdAt)
}

export function podIpsOf(sandbox: SandboxStatus): string[] {
  const { ip = '', additionalIps = [] } = sandbox.network ?? {}
  return [ip, ...additionalIps.map((more) => more.ip)].filter((address) => address !== '')
}

/** Primary first: the sandbox's, or the node's of a Pod that lives on its network; empty while there are none. */
export function podAddresses(
  pod: Pod,
  node: Pick<NodeFacts, 'ips'>,
  sandbox: SandboxStatus | undefined,
): readonly string[] {
  if (pod.spec?.hostNetwork) return node.ips
  return sandbox ? podIpsAmong(podIpsOf(sandbox), node.ips) : []
}

/**
 * False of one in the making, and of one whose making was broken off: containerd tells their creation as Go's zero time
 * in nanoseconds, an overflow that falls into the year 1754, and a bill would begin there.
 */
function hasComeUp({ createdAt }: SandboxStatus): boolean {
  return nanosToMs(createdAt) > 0
}

function observeSandbox(sandbox: SandboxStatus): SandboxObservation {
  return {
    id: sandbox.id,
    createdAtMs: nanosToMs(sandbox.createdAt),
    ready: sandbox.state === 'SANDBOX_READY',
    podIps: podIpsOf(sandbox),
  }
}

function phaseOf(ending: ObserveInput['ending'], containers: readonly ContainerObservation[]): BackendPhase {
  if (ending === 'done') return 'stopped'
  if (ending === 'under way') return 'stopping'
  const mainStarted = containers.some(
    ({ kind, state, lastTerminated }) => kind === 'main' && (state.kind !== 'waiting' || lastTerminated),
  )
  return mainStarted ? 'running' : 'starting'
}

/** The attempts of one container that have been started, the latest first. */
export function attemptsOf(view: RuntimeView, name: string): SeenContainer[] {
  return view.containers
    .filter(({ status }) => status.metadata.name === name && status.state !== 'CONTAINER_CREATED')
    .filter(({ status }) => !isCancelledStart(status))
    .sort((a, b) => b.status.metadata.attempt - a.status.metadata.attempt)
}

/**
 * Its start was broken off because whoever asked for it went away: containerd ends the call with the connection, takes
 * back the process, and calls that an exit (128, StartError). Not an attempt of the Pod's: with restartPolicy Never it
 * would fail for a restart of ours.
 */
export function isCancelledStart({ state, startedAt, reason, message }: ContainerStatus): boolean {
  const neverStarted = state === 'CONTAINER_EXITED' && nanosToMs(startedAt) === 0
  return neverStarted && reason === 'StartError' && message.includes('context canceled')
}

/**
 * A container in its raw state, `running` or `terminated`, for `podActions`. Undefined when no attempt was started.
 */
export function evidenceOf(plan: ContainerPlan, input: EvidenceInput): ContainerEvidence | undefined {
  const [last, before] = attemptsOf(input.view, plan.name)
  if (!last) return undefined
  const { status } = last
  const { attempt } = status.metadata
  const running = status.state === 'CONTAINER_RUNNING'
  const { restartOwed } = input.notes.of(plan.name, attempt)
  const postStart = postStartOf(last, input.notes)
  const well = input.wellness.get(status.id) ?? { started: running, ready: running }
  const outdated = outdatedBy(last, input)
  const backoffMs = backoffOf(status.annotations)
  const given = givenMark(status.annotations)
  const stopSignal = signalOf(status.stopSignal)
  const recursive = status.mounts.filter(({ recursiveReadOnly }) => recursiveReadOnly)
  const resources = running ? containerInEffect(status, givenTo(last, input.notes)) : undefined
  return {
    name: plan.name,
    kind: plan.kind,
    containerId: containerUrl(status.id),
    image: status.image?.userSpecifiedImage || plan.image,
    imageId: status.imageRef,
    state: running ? { kind: 'running', startedAtMs: nanosToMs(status.startedAt) } : endOf(last, input),
    ...(before && { lastTerminated: endOf(before, input) }),
    restartCount: attempt,
    ...(status.user?.linux && { user: containerUser(status.user.linux) }),
    ...(recursive.length > 0 && {
      recursiveReadOnlyPaths: recursive.map(({ containerPath }) => containerPath),
    }),
    ...(stopSignal !== undefined && { stopSignal }),
    started: running && !postStart && well.started,
    ready: running && !postStart && well.ready,
    ...(resources && { resources }),
    ...(outdated && { outdated }),
    ...(backoffMs > 0 && { backoffMs }),
    ...(given && { given }),
    ...(restartOwed !== undefined && { restartOwed }),
    ...(postStart && { postStart }),
  }
}

type EvidenceInput = Pick<ObserveInput, 'view' | 'wellness' | 'notes'>

function containerUser({ uid, gid, supplementalGroups }: LinuxUser): ContainerUser {
  return { uid: Number(uid), gid: Number(gid), supplementalGroups: supplementalGroups.map(Number) }
}

function postStartOf(
  { status }: SeenContainer,
  notes: EvidenceInput['notes'],
): ContainerEvidence['postStart'] {
  if (!hasPostStart(status.annotations)) return undefined
  const { postStart = 'pending' } = notes.of(status.metadata.name, status.metadata.attempt)
  if (postStart === 'done') return undefined
  // One that ended before its hook was carried out owes it no more.
  return postStart === 'pending' && status.state !== 'CONTAINER_RUNNING' ? undefined : postStart
}

/** A running container that does not count as started yet, or is to be ended because its hook has failed. */
export function owesPostStart(seen: SeenContainer, notes: EvidenceInput['notes']): boolean {
  return postStartOf(seen, notes) !== undefined
}

/** What a container was given last: noted when it was resized, else its mark since it was made. */
export function givenTo(
  { status }: SeenContainer,
  notes: EvidenceInput['notes'],
): ResourceRequirements | undefined {
  const { name, attempt } = status.metadata
  return notes.of(name, attempt).given ?? givenMark(status.annotations)
}

function outdatedBy(
  { status, sandboxId }: SeenContainer,
  input: EvidenceInput,
): ContainerEvidence['outdated'] {
  if (isBeforeRestartAll(status, input)) return 'restartedAll'
  return currentSandbox(input.view.sandboxes)?.id === sandboxId ? undefined : 'newSandbox'
}

function isBeforeRestartAll({ metadata }: ContainerStatus, { notes }: EvidenceInput): boolean {
  return metadata.attempt <= (notes.restartedAll[metadata.name] ?? -1)
}

function observeContainer(plan: ContainerPlan, input: ObserveInput): ContainerObservation {
  const evidence = evidenceOf(plan, input)
  const wait = input.waiting.get(plan.name)
  const waiting = waitingState(wait ?? { reason: firstReason(input.plans) })
  if (!evidence) {
    const nothing = { restartCount: 0, started: false, ready: false }
    return { name: plan.name, kind: plan.kind, image: plan.image, state: waiting, ...nothing }
  }
  const {
    outdated,
    backoffMs: _backoffMs,
    given: _given,
    restartOwed: _restartOwed,
    postStart,
    ...raw
  } = evidence
  const { state } = raw
  if (state.kind !== 'terminated') {
    // Kubelet does not call it running before its hook is done.
    return postStart ? { ...raw, state: waiting } : raw
  }
  const { containerId: _containerId, ...withoutId } = raw
  const ended = { lastTerminated: state, restartCount: raw.restartCount + 1 }
  if (outdated === 'restartedAll') return { ...withoutId, ...ended, state: waitingState(wait ?? removed) }
  if (!wait) return raw
  // Between two attempts: it waits for the next, and the end that is shown is that of the last one.
  return { ...raw, state: waiting, lastTerminated: state }
}

/** What is said of a container that has never run. */
function firstReason(plans: readonly ContainerPlan[]): string {
  return plans.some(({ kind }) => kind === 'init' || kind === 'sidecar')
    ? 'PodInitializing'
    : 'ContainerCreating'
}

function waitingState({
  reason,
  message,
}: {
  readonly reason: string
  readonly message?: string
}): ContainerRunState {
  return { kind: 'waiting', reason, ...(message !== undefined && { message }) }
}

// Kubelet's words; it really removes the containers, and the end of each with it.
const removed = {
  reason: restartingAllContainers,
  message: 'The container is removed because RestartAllContainers in place',
}

function endOf(seen: SeenContainer, input: EvidenceInput): TerminatedState {
  const ended = terminated(seen)
  return isBeforeRestartAll(seen.status, input) ? { ...ended, ...removed, exitCode: 137 } : ended
}

function terminated({ status, message = '' }: SeenContainer): TerminatedState {
  const text = [withoutArguments(status.message), message].filter((part) => part !== '').join(': ')
  if (status.state === 'CONTAINER_UNKNOWN') {
    return {
      kind: 'terminated',
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the pod was terminated',
      startedAtMs: nanosToMs(status.startedAt),
      finishedAtMs: nanosToMs(status.finishedAt) || nanosToMs(status.startedAt),
      containerId: containerUrl(status.id),
    }
  }
  const finishedAtMs = nanosToMs(status.finishedAt)
  return {
    kind: 'terminated',
    exitCode: exitCodeOf(status),
    reason: status.reason || (status.exitCode === 0 ? 'Completed' : 'Error'),
    ...(text !== '' && { message: text }),
    // Of one that could not be started CRI gives no start; it held its resources from its creation.
    startedAtMs: nanosToMs(status.startedAt) || nanosToMs(status.createdAt),
    finishedAtMs,
    containerId: containerUrl(status.id),
  }
}

/**
 * gVisor's shim says 128 of a container whose sandbox is gone. When that was for memory, the kernel has killed it: what rules
 * for exit codes, and Jobs, know as 137.
 */
function exitCodeOf({ reason, exitCode }: ContainerStatus): number {
  return reason === 'OOMKilled' && exitCode === 128 ? 137 : exitCode
}

export function containerUrl(id: string): string {
  return `containerd://${id}`
}
