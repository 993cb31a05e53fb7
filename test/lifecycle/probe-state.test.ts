import { describe, expect, it } from 'vitest'
import {
  adoptedProbeStates,
  concludeProbes,
  initialProbeState,
  initialProbeStates,
  isProbeDue,
  nextProbeAtMs,
  withProbeResult,
  type ProbeKind,
  type ProbeResult,
  type ProbeState,
} from '../../src/lifecycle/probe-state.ts'
import { aContainer } from '../support/builders.ts'

const probe = { exec: { command: ['true'] }, successThreshold: 1, failureThreshold: 3 }
const container = aContainer({ startupProbe: probe, readinessProbe: probe, livenessProbe: probe })

function after(kind: ProbeKind, results: readonly ProbeResult[], thresholds = probe): ProbeState {
  return results.reduce(
    (state, result) => withProbeResult(state, thresholds, result),
    initialProbeState(kind),
  )
}

describe('a probe', () => {
  it('changes its verdict only after as many results in a row as its threshold', () => {
    expect(after('liveness', ['failure', 'failure']).verdict).toBe('success')
    expect(after('liveness', ['failure', 'failure', 'success', 'failure']).verdict).toBe('success')
    expect(after('liveness', ['failure', 'failure', 'failure'])).toMatchObject({
      verdict: 'failure',
      settled: true,
    })
    expect(after('readiness', ['success'], { ...probe, successThreshold: 2 }).verdict).toBe('failure')
  })

  it('learns nothing from a run that could not be carried out', () => {
    expect(after('liveness', ['failure', 'failure', 'unknown', 'failure']).verdict).toBe('failure')
  })

  it('is run after the initial delay, then once a period', () => {
    const timed = { ...probe, initialDelaySeconds: 5, periodSeconds: 2 }
    expect(nextProbeAtMs(timed, { startedAtMs: 1_000, lastProbeAtMs: undefined })).toBe(6_000)
    expect(nextProbeAtMs(timed, { startedAtMs: 1_000, lastProbeAtMs: 6_500 })).toBe(8_500)
  })
})

describe('the probes of a container', () => {
  it('are held back by the startup probe, which decides once', () => {
    const states = initialProbeStates(container)
    expect([isProbeDue(states, 'startup'), isProbeDue(states, 'liveness')]).toEqual([true, false])
    const started = { ...states, startup: after('startup', ['success']) }
    expect([isProbeDue(started, 'startup'), isProbeDue(started, 'liveness')]).toEqual([false, true])
    expect(concludeProbes(started)).toEqual({ started: true, ready: false, kill: undefined })
  })

  it('ask for the end of a container that does not start, or does not live', () => {
    const failures: ProbeResult[] = ['failure', 'failure', 'failure']
    const states = initialProbeStates(container)
    expect(concludeProbes({ ...states, startup: after('startup', failures) }).kill).toBe('startup')
    expect(concludeProbes({ liveness: after('liveness', failures) }).kill).toBe('liveness')
  })

  it('do not take back what an earlier life of the process had found', () => {
    const adopted = adoptedProbeStates(container, { started: true, ready: true })
    expect(concludeProbes(adopted)).toEqual({ started: true, ready: true, kill: undefined })
  })

  it('find a container without probes ready at once', () => {
    expect(concludeProbes({})).toEqual({ started: true, ready: true, kill: undefined })
  })
})
