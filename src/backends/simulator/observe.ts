import type {
  BackendPhase,
  ContainerKind,
  ContainerObservation,
  ContainerRunState,
  PodObservation,
  TerminatedState,
} from '../../model/pod-observation.ts'
import type { Pod } from '../../model/kubernetes.ts'
import { isSidecar } from '../../model/resources.ts'
import {
  allRuns,
  currentSandbox,
  isStopped,
  lastRuns,
  type SimulatedPod,
  type SimulatedRun,
} from './simulated-pod.ts'

/** What only the instance that looks after the Pod knows: nobody else would act on it. */
export interface Supervision {
  readonly generation: number
  readonly trouble: { readonly reason: string; readonly message: string } | undefined
  /** For what does not run: why not. */
  readonly waiting: ReadonlyMap<string, { readonly reason: string; readonly message?: string }>
}

/** The picture of one Pod at a moment. */
export function observe(
  record: SimulatedPod,
  supervision: Supervision | undefined,
  nowMs: number,
): PodObservation {
  const sandbox = currentSandbox(record)
  return {
    ...record.ref,
    nodeName: record.nodeName,
    incarnation: sandbox?.attempt ?? 0,
    supervised: supervision !== undefined,
    generation: supervision?.generation ?? 0,
    phase: phaseOf(record, nowMs),
    ...(supervision?.trouble && { trouble: supervision.trouble }),
    ...(sandbox && {
      sandbox: {
        id: sandbox.id,
        createdAtMs: sandbox.createdAtMs,
        ready: sandbox.readyAtMs <= nowMs && nowMs < sandbox.lostAtMs && !isStopped(record, nowMs),
        podIps: sandbox.readyAtMs <= nowMs ? [sandbox.ip] : [],
      },
    }),
    allocation: record.allocation,
    containers: containersOf(record.pod).map(({ name, image, kind }) =>
      withWaiting(observeContainer(record, { name, image, kind }, nowMs), supervision?.waiting.get(name)),
    ),
  }
}

export interface NamedContainer {
  readonly name: string
  readonly image: string
  readonly kind: ContainerKind
}

/** In the order of the contract: init, main, ephemeral. */
export function containersOf({ spec }: Pod): NamedContainer[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = spec ?? {}
  const named = (
    kind: ContainerKind,
    { name, image = '' }: { readonly name: string; readonly image?: string },
  ) => ({ name, image, kind })
  return [
    ...initContainers.map((container) => named(isSidecar(container) ? 'sidecar' : 'init', container)),
    ...containers.map((container) => named('main', container)),
    ...ephemeralContainers.map((container) => named('ephemeral', container)),
  ]
}

function phaseOf(record: SimulatedPod, nowMs: number): BackendPhase {
  if (record.ending) return isStopped(record, nowMs) ? 'stopped' : 'stopping'
  const mainRan = allRuns(record).some((run) => run.kind === 'main' && run.startedAtMs <= nowMs)
  return mainRan ? 'running' : 'starting'
}

/** The container as it is, without what supervision has to say: also the input of `podActions`. */
export function observeContainer(
  record: SimulatedPod,
  { name, image, kind }: NamedContainer,
  nowMs: number,
): ContainerObservation {
  const { last, before } = lastRuns(record, name, nowMs)
  const lastTerminated = before && terminated(before)
  const state = stateOf(last, nowMs)
  const running = last !== undefined && state.kind === 'running'
  const started = running && nowMs >= last.startedAtMs + last.script.startedAfterMs
  return {
    name,
    kind,
    ...(last && { containerId: last.containerId, imageId: imageId(last.image) }),
    image: last?.image ?? image,
    state,
    ...(lastTerminated && { lastTerminated }),
    restartCount: last?.attempt ?? 0,
    started,
    ready: started && nowMs >= last.startedAtMs + last.script.readyAfterMs,
    ...(running && { resources: last.given }),
  }
}

function stateOf(run: SimulatedRun | undefined, nowMs: number): ContainerRunState {
  if (!run) return { kind: 'waiting', reason: 'ContainerCreating' }
  return run.end.atMs <= nowMs ? terminated(run) : { kind: 'running', startedAtMs: run.startedAtMs }
}

function terminated(run: SimulatedRun): TerminatedState {
  const { atMs, exitCode, reason, message } = run.end
  return {
    kind: 'terminated',
    exitCode,
    reason,
    ...(message !== undefined && { message }),
    startedAtMs: run.startedAtMs,
    finishedAtMs: atMs,
    containerId: run.containerId,
  }
}

function withWaiting(
  container: ContainerObservation,
  waiting: { readonly reason: string; readonly message?: string } | undefined,
): ContainerObservation {
  if (!waiting || container.state.kind === 'running') return container
  const state = { kind: 'waiting', ...waiting } as const
  return container.state.kind === 'terminated'
    ? { ...container, state, lastTerminated: container.state }
    : { ...container, state }
}

function imageId(image: string): string {
  return `simulated://${image}`
}
