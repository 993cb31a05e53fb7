import type { ContainerEvidence } from '../../src/lifecycle/pod-actions.ts'
import type { PodObservation, TerminatedState } from '../../src/model/pod-observation.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'

/** Observations in the few words of a test: times are seconds after the fake epoch. */
export function running(name: string, startedAtSeconds = 10, over: Partial<ContainerEvidence> = {}) {
  return container(name, {
    state: { kind: 'running', startedAtMs: at(startedAtSeconds) },
    started: true,
    ready: true,
    containerId: `simulated://${name}-${over.restartCount ?? 0}`,
    ...over,
  })
}

export function exited(name: string, exitCode: number, over: Partial<ContainerEvidence> = {}) {
  return container(name, {
    state: ended(exitCode, 10, 20),
    containerId: `simulated://${name}-${over.restartCount ?? 0}`,
    ...over,
  })
}

export function ended(
  exitCode: number,
  startedAtSeconds: number,
  finishedAtSeconds: number,
): TerminatedState {
  return {
    kind: 'terminated',
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    startedAtMs: at(startedAtSeconds),
    finishedAtMs: at(finishedAtSeconds),
  }
}

export function container(name: string, over: Partial<ContainerEvidence> = {}): ContainerEvidence {
  return {
    name,
    kind: 'main',
    image: 'docker.io/library/busybox:1.37',
    state: { kind: 'waiting', reason: 'ContainerCreating' },
    restartCount: 0,
    started: false,
    ready: false,
    ...over,
  }
}

export function observed(over: Partial<PodObservation> = {}): PodObservation {
  return {
    uid: asPodUid('uid-of-web'),
    namespace: 'default',
    name: 'web',
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation: 1,
    phase: 'running',
    sandbox: { id: 'sandbox-0', createdAtMs: at(5), ready: true, podIps: ['10.245.0.7'] },
    containers: [],
    ...over,
  }
}

export function at(seconds: number): number {
  return fakeEpochMs + seconds * 1000
}
