import { kubeTime } from '../model/clock.ts'
import type { Container, ContainerStatus, Pod, PodCondition } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import { isSidecar } from '../model/resources.ts'
import type { PodPhase } from './pod-phase.ts'
import { resizeConditions, resizeConditionTypes, type PendingResize } from './resize-conditions.ts'
import { couldRestartAll } from './restart-policy.ts'

/** The conditions that a node owns. All others belong to somebody else and are handed on untouched. */
const owned: ReadonlySet<string> = new Set([
  'PodScheduled',
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'AllContainersRestarting',
  ...resizeConditionTypes,
])

export interface PodConditionsInput {
  readonly pod: Pod
  readonly observed: PodObservation | undefined
  readonly phase: PodPhase
  /** Of init and of main containers. */
  readonly statuses: readonly ContainerStatus[]
  readonly pendingResize?: PendingResize | 'unknown' | undefined
  readonly previous: readonly PodCondition[]
  readonly nowMs: number
}

interface Finding {
  readonly status: 'True' | 'False'
  readonly reason?: string
  readonly message?: string
}

export function conditionsOfOthers(conditions: readonly PodCondition[]): PodCondition[] {
  return conditions.filter(({ type }) => !owned.has(type))
}

/** Others' conditions as they were, then ours, with the time of the last change of status kept. */
export function podConditions(input: PodConditionsInput): PodCondition[] {
  const { pod, previous, nowMs } = input
  const others = conditionsOfOthers(previous)
  const containersReady = findContainersReady(input)
  const findings: [string, Finding][] = [
    // Also of a Pod that was given its node by hand, of which nobody else would tell.
    ['PodScheduled', { status: 'True' }],
    ['PodReadyToStartContainers', findReadyToStart(input)],
    ['Initialized', findInitialized(input)],
    ['Ready', findReady(pod, containersReady, others)],
    ['ContainersReady', containersReady],
  ]
  const dated = (type: string, finding: Finding): PodCondition => {
    const before = previous.find((condition) => condition.type === type)
    const since = before?.status === finding.status ? before.lastTransitionTime : undefined
    return { type, ...finding, lastTransitionTime: since ?? kubeTime(nowMs) }
  }
  const generation = pod.metadata?.generation
  const ours = findings.map(([type, finding]) => {
    return { ...dated(type, finding), ...(generation !== undefined && { observedGeneration: generation }) }
  })
  // The one of which kubelet does not say for which generation it holds.
  const restarting = couldRestartAll(pod) ? [dated('AllContainersRestarting', findRestarting(input))] : []
  return [...others, ...resizesOf(input), ...ours, ...restarting]
}

function findRestarting({ observed, phase }: PodConditionsInput): Finding {
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' }
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' }
  if (!observed?.restartingAll) return { status: 'False' }
  const message = 'container exited with restart policy rule'
  return { status: 'True', reason: 'RestartAllContainersStarted', message }
}

/** Of a Pod that is over nothing is resized any more. */
function resizesOf({ observed, pendingResize, previous, nowMs }: PodConditionsInput): PodCondition[] {
  if (observed?.phase === 'stopped') return []
  return resizeConditions({ pending: pendingResize, allocation: observed?.allocation, previous, nowMs })
}

function findReadyToStart({ pod, observed }: PodConditionsInput): Finding {
  const notReady = (message: string): Finding => ({ status: 'False', reason: 'PodSandboxNotReady', message })
  if (!observed?.sandbox) return notReady('no pod sandbox exists')
  if (!observed.sandbox.ready) return notReady('pod sandbox is not ready')
  if (!pod.spec?.hostNetwork && observed.sandbox.podIps.length === 0)
    return notReady('pod sandbox has no IP address')
  return { status: 'True' }
}

function findInitialized({ pod, phase, statuses, previous }: PodConditionsInput): Finding {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const { unknown, found: incomplete } = sift(initContainers, statuses, (container, status) =>
    isSidecar(container) ? status.started !== true : !status.ready,
  )
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' }
  const mainStarted = containers.some(({ name }) => {
    const state = statuses.find((status) => status.name === name)?.state
    return state?.running !== undefined || state?.terminated !== undefined
  })
  // Once initialized a Pod stays so, also while its sidecars or its sandbox begin again.
  const wasInitialized = previous.some(({ type, status }) => type === 'Initialized' && status === 'True')
  const message = describe(unknown, incomplete, 'incomplete')
  if (mainStarted || wasInitialized || message === '') return { status: 'True' }
  return { status: 'False', reason: 'ContainersNotInitialized', message }
}

function findContainersReady({ pod, phase, statuses }: PodConditionsInput): Finding {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const { unknown, found: unready } = sift(
    [...initContainers.filter(isSidecar), ...containers],
    statuses,
    (_container, status) => !status.ready,
  )
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' }
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'False', reason: 'PodCompleted' }
  const message = describe(unknown, unready, 'unready')
  return message === '' ? { status: 'True' } : { status: 'False', reason: 'ContainersNotReady', message }
}

function findReady(pod: Pod, containersReady: Finding, conditions: readonly PodCondition[]): Finding {
  if (containersReady.status === 'False') return containersReady
  const messages: string[] = []
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const gate = conditions.find(({ type }) => type === conditionType)
    if (!gate) {
      messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`)
    } else if (gate.status !== 'True') {
      messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`)
    }
  }
  if (messages.length === 0) return { status: 'True' }
  return { status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
}

function sift(
  containers: readonly Container[],
  statuses: readonly ContainerStatus[],
  wanted: (container: Container, status: ContainerStatus) => boolean,
): { readonly unknown: readonly string[]; readonly found: readonly string[] } {
  const unknown: string[] = []
  const found: string[] = []
  for (const container of containers) {
    const status = statuses.find((candidate) => candidate.name === container.name)
    if (!status) unknown.push(container.name)
    else if (wanted(container, status)) found.push(container.name)
  }
  return { unknown, found }
}

/** In the words and with the brackets of kubelet, which tools match on. */
function describe(unknown: readonly string[], found: readonly string[], state: string): string {
  const parts: string[] = []
  if (unknown.length > 0) parts.push(`containers with unknown status: [${unknown.join(' ')}]`)
  if (found.length > 0) parts.push(`containers with ${state} status: [${found.join(' ')}]`)
  return parts.join(', ')
}
