import type { Pod, ResourceRequirements } from '../../model/kubernetes.ts'
import type { AllocationObservation, ContainerKind } from '../../model/pod-observation.ts'
import type { PodRef } from '../../model/pod-key.ts'
import type { ContainerScript } from './script.ts'

/**
 * What the simulated world holds of one Pod: facts with times, some of them in the future (a container that will end
 * by itself has its end written down when it starts). What is the case at a moment is read off them, so the world needs
 * no timers and goes on while nobody looks: what a real runtime does while Spillway is down.
 */
export interface SimulatedPod {
  readonly ref: PodRef
  readonly nodeName: string
  /** As last handed over. */
  pod: Pod
  /** The size that is set aside for it. */
  allocation: AllocationObservation
  /** The first is attempt 0. */
  readonly sandboxes: SimulatedSandbox[]
  /** By container, oldest first. */
  readonly runs: Map<string, SimulatedRun[]>
  /** Since the Pod is being ended, by a stop or by its own rules. */
  ending: Ending | undefined
}

export interface Ending {
  readonly sinceMs: number
  /** When SIGKILL comes. */
  killAtMs: number
}

export interface SimulatedSandbox {
  readonly id: string
  readonly attempt: number
  readonly createdAtMs: number
  readonly readyAtMs: number
  readonly ip: string
  /** Infinity while nothing is known to end it. */
  lostAtMs: number
}

export interface SimulatedRun {
  readonly name: string
  readonly kind: ContainerKind
  readonly attempt: number
  /** The restart back-off that was in force when it was started. */
  readonly backoffMs: number
  readonly sandboxAttempt: number
  readonly containerId: string
  readonly image: string
  readonly startedAtMs: number
  readonly script: ContainerScript
  readonly environment: ReadonlyMap<string, string>
  /** What it has, as `givenResources` says it. */
  given: ResourceRequirements
  end: RunEnd
}

export interface RunEnd {
  /** Infinity: it runs until it is ended. */
  atMs: number
  exitCode: number
  reason: string
  message?: string
}

export function currentSandbox(record: Pick<SimulatedPod, 'sandboxes'>): SimulatedSandbox | undefined {
  return record.sandboxes.at(-1)
}

/** The container's last run that has begun, and the one before it. */
export function lastRuns(
  record: SimulatedPod,
  name: string,
  nowMs: number,
): { readonly last: SimulatedRun | undefined; readonly before: SimulatedRun | undefined } {
  const begun = (record.runs.get(name) ?? []).filter((run) => run.startedAtMs <= nowMs)
  return { last: begun.at(-1), before: begun.at(-2) }
}

export function allRuns(record: SimulatedPod): SimulatedRun[] {
  return [...record.runs.values()].flat()
}

/** Whether no process is left and none will come. */
export function isStopped(record: SimulatedPod, nowMs: number): boolean {
  return record.ending !== undefined && allRuns(record).every((run) => run.end.atMs <= nowMs)
}

/**
 * Asks a run to end at `fromMs`: it takes the time that it takes, and is killed when that is too long. A run whose end
 * comes earlier by itself keeps it; one that would begin later never does.
 */
export function endRun(run: SimulatedRun, fromMs: number, killAtMs: number): void {
  const willinglyMs = fromMs + run.script.stopMs
  const atMs = Math.min(willinglyMs, killAtMs)
  if (run.end.atMs <= atMs) return
  const killed = willinglyMs > killAtMs
  const exitCode = killed ? 137 : run.script.termExitCode
  run.end = { atMs, exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' }
}
