import { kubeTime } from '../model/clock.ts'
import type { Container, ContainerState, ContainerStatus, Pod } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation, TerminatedState } from '../model/pod-observation.ts'
import { reportedContainerResources } from './reported-resources.ts'
import { shouldRestart } from './restart-policy.ts'

export interface ContainerStatusInput {
  readonly pod: Pod
  /** With what was set aside for it. */
  readonly container: Pick<Container, 'name' | 'image' | 'resources' | 'restartPolicy' | 'restartPolicyRules'>
  readonly kind: ContainerKind
  readonly observed: ContainerObservation | undefined
  readonly previous: ContainerStatus | undefined
  /** Some main container has been seen to run: what had to be before it is done. */
  readonly mainStarted: boolean
  /** No process is left and none will come. */
  readonly over: boolean
}

/** One entry of the Pod status' lists of containers, as kubelet's convertToAPIContainerStatuses makes it. */
export function containerStatus(input: ContainerStatusInput): ContainerStatus {
  const { observed, previous } = input
  const ranUnseen = previous?.state?.running !== undefined && !hasEvidence(observed)
  if (ranUnseen) return lostStatus(input, previous)
  if (!observed) return unseenStatus(input)
  return seenStatus(input, observed)
}

function hasEvidence(observed: ContainerObservation | undefined): boolean {
  return (
    observed !== undefined && (observed.state.kind !== 'waiting' || observed.lastTerminated !== undefined)
  )
}

function seenStatus(input: ContainerStatusInput, observed: ContainerObservation): ContainerStatus {
  const { container, previous, kind, over } = input
  const { state } = observed
  // A Pod that is over waits for nothing: what is known last is how the container ended.
  const settled =
    over && state.kind === 'waiting' && observed.lastTerminated ? observed.lastTerminated : state
  const lastTerminated = settled === state ? observed.lastTerminated : undefined
  const mostBytes = mostMessageBytes(input.pod)
  return {
    name: observed.name,
    image: observed.image || (container.image ?? ''),
    imageID: observed.imageId ?? '',
    ...(observed.containerId !== undefined && { containerID: observed.containerId }),
    restartCount: Math.max(observed.restartCount, previous?.restartCount ?? 0),
    state: containerState(settled, mostBytes),
    lastState: lastTerminated
      ? containerState(lastTerminated, mostBytes)
      : earlierState(previous, observed.containerId),
    ready: isReady(kind, observed),
    ...(kind !== 'ephemeral' && { started: state.kind === 'running' && observed.started }),
    ...(observed.containerId !== undefined && reportedContainerResources({ container, observed, previous })),
    ...(observed.user && { user: { linux: observed.user } }),
  }
}

/** The end of another container of that name that the backend no longer has, from what was reported of it. */
function earlierState(
  previous: ContainerStatus | undefined,
  containerId: string | undefined,
): ContainerState {
  const ended = previous?.state?.terminated
  if (ended && containerId !== undefined && previous.containerID !== containerId) return { terminated: ended }
  return previous?.lastState ?? {}
}

function isReady(kind: ContainerKind, observed: ContainerObservation): boolean {
  const { state } = observed
  // Of an init container "ready" means that it did what it was there for.
  if (kind === 'init') return state.kind === 'terminated' && state.exitCode === 0
  // Kubelet asks only of the others (prober_manager.go UpdatePodStatus): who looks into a Pod serves nobody.
  if (kind === 'ephemeral') return false
  return state.kind === 'running' && observed.ready
}

function unseenStatus(input: ContainerStatusInput): ContainerStatus {
  const { container, kind, previous, mainStarted } = input
  if (previous?.state?.terminated) return previous
  const waiting: ContainerStatus = {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    restartCount: previous?.restartCount ?? 0,
    state: { waiting: { reason: defaultWaitingReason(input.pod) } },
    lastState: previous?.lastState ?? {},
    ready: false,
    ...(kind !== 'ephemeral' && { started: false }),
  }
  if (kind !== 'init' || !mainStarted) return waiting
  const message =
    'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally'
  return {
    ...waiting,
    state: { terminated: { exitCode: 0, reason: 'Completed', message } },
    ready: true,
  }
}

/** Reported as running, and now nowhere to be found: its end is not known, which has to count as a failure. */
function lostStatus(input: ContainerStatusInput, previous: ContainerStatus): ContainerStatus {
  const { container, kind, pod, over } = input
  const lost: ContainerState = { terminated: lostTermination }
  const again =
    !over &&
    kind !== 'ephemeral' &&
    !pod.metadata?.deletionTimestamp &&
    shouldRestart(container, pod, lostExitCode)
  if (!again) {
    return { ...previous, state: lost, ready: false, ...(kind !== 'ephemeral' && { started: false }) }
  }
  return {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    restartCount: previous.restartCount + 1,
    state: { waiting: { reason: defaultWaitingReason(pod) } },
    lastState: { terminated: { ...lostTermination, message: lostWhileRunning } },
    ready: false,
    started: false,
  }
}

const lostExitCode = 137

/** As kubelet calls it: an exit code that says killed, and no times, since nobody saw it. */
export const lostTermination = {
  exitCode: lostExitCode,
  reason: 'ContainerStatusUnknown',
  message: 'The container could not be located when the pod was terminated',
} as const

/** Of one that will run again; with kubelet's two blanks. */
const lostWhileRunning =
  'The container could not be located when the pod was deleted.  The container used to be Running'

function defaultWaitingReason(pod: Pod): string {
  return (pod.spec?.initContainers ?? []).length > 0 ? 'PodInitializing' : 'ContainerCreating'
}

/** What all containers of a Pod may say together (pkg/kubelet/container MaxPodTerminationMessageLogLength). */
const mostPodMessageBytes = 12 * 1024

/** Each container's share, whether the others say something or not (status_manager.go normalizeStatus). */
function mostMessageBytes({ spec }: Pod): number {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {}
  const count = containers.length + initContainers.length + ephemeralContainers.length
  return Math.floor(mostPodMessageBytes / Math.max(count, 1))
}

function containerState(state: ContainerObservation['state'], mostBytes: number): ContainerState {
  if (state.kind === 'running') return { running: { startedAt: kubeTime(state.startedAtMs) } }
  if (state.kind === 'terminated') return terminatedState(state, mostBytes)
  const { reason, message } = state
  return { waiting: { reason, ...(message !== undefined && { message }) } }
}

function terminatedState(ended: TerminatedState, mostBytes: number): ContainerState {
  const message = ended.message && Buffer.from(ended.message).subarray(0, mostBytes).toString()
  return {
    terminated: {
      exitCode: ended.exitCode,
      ...(ended.signal !== undefined && { signal: ended.signal }),
      reason: ended.reason,
      ...(message !== undefined && { message }),
      startedAt: kubeTime(ended.startedAtMs),
      finishedAt: kubeTime(ended.finishedAtMs),
      ...(ended.containerId !== undefined && { containerID: ended.containerId }),
    },
  }
}
