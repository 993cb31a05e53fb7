import { kubeTime } from '../model/clock.ts'
import type { Container, ContainerStatus, Pod, PodStatus } from '../model/kubernetes.ts'
import type { ContainerKind, ContainerObservation, PodObservation } from '../model/pod-observation.ts'
import { withResources } from '../model/pod-resources.ts'
import { isSidecar } from '../model/resources.ts'
import { deadlineExceeded, isPastDeadline } from './active-deadline.ts'
import { containerStatus, lostTermination } from './container-status.ts'
import { evictionOf } from './eviction.ts'
import { conditionsOfOthers, podConditions } from './pod-conditions.ts'
import { podIpsAmong } from './pod-ips.ts'
import { podPhase, type PodPhase } from './pod-phase.ts'
import { qosClass } from './qos.ts'
import { reportedPodResources } from './reported-resources.ts'
import { volumeMountStatuses } from './volume-mount-statuses.ts'
import type { PendingResize } from './resize-conditions.ts'

export interface PodStatusInput {
  readonly pod: Pod
  /** Undefined: the backend has nothing of this Pod (not yet, or any more). */
  readonly observed: PodObservation | undefined
  /** Set when the Pod was not let in: the status says so, and nothing else. */
  readonly refusal?: { readonly reason: string; readonly message: string } | undefined
  /** A size that the Pod asks for and that has not been set aside. */
  readonly pendingResize?: PendingResize | 'unknown' | undefined
  /** What the API server has now. Restart counts, times and the conditions of others come from it. */
  readonly previous: PodStatus
  readonly node: {
    /** Primary first. */
    readonly hostIps: readonly string[]
  }
  readonly nowMs: number
}

/**
 * The status that kubelet would report (kubelet_pods.go generateAPIPodStatus, status/status_manager.go mergePodStatus):
 * a function of what is seen and what was said before. A terminal phase is said only when no process is left, and is
 * never taken back.
 */
export function podStatus(input: PodStatusInput): PodStatus {
  const { observed, previous, refusal } = input
  if (refusal && !observed) return refusedStatus(input, refusal)
  if (!observed && isTerminalPhase(previous.phase)) return previous

  const tooLong = isPastDeadline({ ...input.pod, status: previous }, observed, input.nowMs)
  const why = evictionOf(previous) ?? (tooLong ? deadlineExceeded : undefined)
  const over = observed ? observed.phase === 'stopped' : isEnded(input.pod) || why !== undefined
  const lists = containerLists(input, over)
  const ended = over && !isTerminalPhase(previous.phase) ? why : undefined
  const phase = ended ? 'Failed' : reportedPhase(input, [...lists.init, ...lists.main], over)
  const settled = over ? settleLists(input.pod, lists) : lists
  const { reason: _reason, message: _message, ...kept } = previous
  return {
    ...kept,
    phase,
    // They explain the phase, and go with it: `Evicted` stays on what was evicted.
    ...(phase === previous.phase && explanation(previous)),
    ...ended,
    ...generation(input.pod),
    conditions: podConditions({
      ...input,
      phase,
      statuses: [...settled.init, ...settled.main],
      previous: previous.conditions ?? [],
    }),
    ...addresses(input),
    startTime: startTime(input),
    qosClass: qosClass({ ...input.pod, status: previous }),
    ...(observed?.allocation && reportedPodResources(allocatedPod(input), observed, previous)),
    containerStatuses: byName(settled.main),
    ...(settled.init.length > 0 && { initContainerStatuses: settled.init }),
    ...(settled.ephemeral.length > 0 && { ephemeralContainerStatuses: byName(settled.ephemeral) }),
  }
}

function isEnded({ metadata }: Pod): boolean {
  return Boolean(metadata?.deletionTimestamp)
}

function isTerminalPhase(phase: string | undefined): phase is 'Succeeded' | 'Failed' {
  return phase === 'Succeeded' || phase === 'Failed'
}

function refusedStatus(
  { pod, previous, nowMs }: PodStatusInput,
  { reason, message }: { readonly reason: string; readonly message: string },
): PodStatus {
  if (isTerminalPhase(previous.phase)) return previous
  return {
    ...previous,
    phase: 'Failed',
    reason,
    message: `Pod was rejected: ${message}`,
    ...generation(pod),
    // Nothing holds of a Pod that never was: kubelet takes its conditions away, PodScheduled too, and leaves others'.
    ...(previous.conditions && { conditions: conditionsOfOthers(previous.conditions) }),
    startTime: previous.startTime ?? kubeTime(nowMs),
    qosClass: qosClass({ ...pod, status: previous }),
  }
}

interface Lists {
  readonly init: ContainerStatus[]
  readonly main: ContainerStatus[]
  readonly ephemeral: ContainerStatus[]
}

/** The Pod at the size that was set aside for it, which may not be the one that it asks for. */
function allocatedPod({ pod, observed }: PodStatusInput): Pod {
  return observed?.allocation ? withResources(pod, observed.allocation.resources) : pod
}

function containerLists(input: PodStatusInput, over: boolean): Lists {
  const { observed, previous } = input
  const pod = allocatedPod(input)
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {}
  const seen = new Map(observed?.containers.map((container) => [container.name, container]))
  const mainStarted = containers.some(({ name }) => hasRun(seen.get(name)))
  const list = (
    specs: readonly Pick<Container, 'name' | 'image' | 'volumeMounts'>[],
    before: readonly ContainerStatus[] | undefined,
    kindOf: (container: Container) => ContainerKind,
  ): ContainerStatus[] =>
    specs.map((container) => {
      const observation = seen.get(container.name)
      const status = containerStatus({
        pod,
        container,
        kind: kindOf(container),
        observed: observation,
        previous: before?.find(({ name }) => name === container.name),
        mainStarted,
        over,
      })
      const volumeMounts = volumeMountStatuses(container, observation)
      return { ...status, ...(volumeMounts.length > 0 && { volumeMounts }) }
    })
  return {
    init: list(initContainers, previous.initContainerStatuses, (one) =>
      isSidecar(one) ? 'sidecar' : 'init',
    ),
    main: list(containers, previous.containerStatuses, () => 'main'),
    ephemeral: list(ephemeralContainers, previous.ephemeralContainerStatuses, () => 'ephemeral'),
  }
}

function hasRun(seen: ContainerObservation | undefined): boolean {
  return seen !== undefined && (seen.state.kind !== 'waiting' || seen.lastTerminated !== undefined)
}

function reportedPhase(
  { pod, observed, previous }: PodStatusInput,
  statuses: readonly ContainerStatus[],
  over: boolean,
): PodPhase {
  if (isTerminalPhase(previous.phase)) return previous.phase
  const phase = podPhase({ pod, statuses, over })
  if (over) return isTerminalPhase(phase) ? phase : 'Failed'
  // Resources may still be held: controllers that wait for a terminal phase must not start the replacement too early.
  if (isTerminalPhase(phase) && observed) return previous.phase === 'Running' ? 'Running' : 'Pending'
  return phase
}

/**
 * Nothing will run any more, so nothing waits: what has no known end counts as failed, save those init containers and,
 * in a Pod that never got to them, those containers that have no trace of a start (status_manager.go TerminatePod).
 */
function settleLists(pod: Pod, lists: Lists): Lists {
  const end = (status: ContainerStatus): ContainerStatus =>
    status.state?.terminated ? status : { ...status, state: { terminated: lostTermination }, ready: false }
  const lastStarted = lists.init.findLastIndex(
    ({ state, lastState }) => !state?.waiting || lastState?.terminated !== undefined,
  )
  const init = lists.init.map((status, index) => (index <= Math.max(lastStarted, 0) ? end(status) : status))
  const main = isInitialized(pod, lists) ? lists.main.map(end) : lists.main
  return { ...lists, init, main }
}

function isInitialized(pod: Pod, { init, main }: Lists): boolean {
  const last = pod.spec?.initContainers?.at(-1)
  if (!last) return true
  if (main.some(({ state, lastState }) => !state?.waiting || lastState?.terminated)) return true
  const status = init.find(({ name }) => name === last.name)
  if (isSidecar(last)) return status?.state?.running !== undefined && status.started === true
  return (status?.state?.terminated ?? status?.lastState?.terminated)?.exitCode === 0
}

function explanation({ reason, message }: PodStatus): Partial<PodStatus> {
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) }
}

function generation(pod: Pod): Partial<PodStatus> {
  const observedGeneration = pod.metadata?.generation
  return observedGeneration === undefined ? {} : { observedGeneration }
}

function addresses({ pod, observed, previous, node }: PodStatusInput): Partial<PodStatus> {
  const [hostIP] = node.hostIps
  const host = hostIP === undefined ? {} : { hostIP, hostIPs: node.hostIps.map((ip) => ({ ip })) }
  const { hostIps } = node
  const seen = pod.spec?.hostNetwork ? hostIps : podIpsAmong(observed?.sandbox?.podIps ?? [], hostIps)
  const [podIP] = seen
  if (podIP !== undefined) return { ...host, podIP, podIPs: seen.map((ip) => ({ ip })) }
  // A sandbox that ended keeps its address in the status; one that is up and has none yet shows none.
  if (!observed?.sandbox?.ready || previous.podIP === undefined) return host
  return { ...host, podIP: '', podIPs: [] }
}

/** When the Pod was first taken in. Never changes again: Jobs' deadlines count from it. */
function startTime({ observed, previous, nowMs }: PodStatusInput): string {
  return previous.startTime ?? kubeTime(Math.min(observed?.sandbox?.createdAtMs ?? nowMs, nowMs))
}

/** Kubelet's order; that of init containers is the spec's. */
function byName(statuses: readonly ContainerStatus[]): ContainerStatus[] {
  return [...statuses].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}
