import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  forgivingRunMs,
  formatDelay,
  restartDelayMs,
  restartDelaysMs,
} from '../../src/lifecycle/restart-backoff.ts'
import type { TerminatedState } from '../../src/model/pod-observation.ts'
import { at, container } from './observations.ts'

/** Crashes a container again and again, each run that long, and gives the waits that it had to serve. */
function waitsOf(runsMs: readonly number[], startLatencyMs = 100): number[] {
  let nowMs = at(0)
  let before: TerminatedState | undefined
  return runsMs.map((runMs, restartCount) => {
    const startedAtMs = nowMs + startLatencyMs
    const state: TerminatedState = {
      kind: 'terminated',
      exitCode: 1,
      reason: 'Error',
      startedAtMs,
      finishedAtMs: startedAtMs + runMs,
    }
    const waitMs = restartDelayMs(
      container('main', { state, restartCount, ...(before && { lastTerminated: before }) }),
    )
    before = state
    nowMs = state.finishedAtMs + waitMs
    return waitMs
  })
}

describe('the wait before a restart', () => {
  it('is none at first, then 10 s doubling to 5 min', () => {
    const waits = waitsOf(Array.from({ length: 9 }, () => 500))
    expect(waits.map((waitMs) => waitMs / 1000)).toEqual([0, 10, 20, 40, 80, 160, 300, 300, 300])
  })

  it('begins anew after a run of ten minutes', () => {
    const waits = waitsOf([500, 500, 500, forgivingRunMs, 500, 500])
    expect(waits.map((waitMs) => waitMs / 1000)).toEqual([0, 10, 20, 0, 10, 20])
  })

  it('goes on growing for a container that the runtime cannot even start', () => {
    const never = (atSeconds: number): TerminatedState => {
      return {
        kind: 'terminated',
        exitCode: 128,
        reason: 'StartError',
        startedAtMs: 0,
        finishedAtMs: at(atSeconds),
      }
    }
    const third = container('main', { restartCount: 2, state: never(110), lastTerminated: never(100) })
    expect(restartDelayMs(third)).toBe(20_000)
  })

  it('is not longer than the restarts can have climbed, however long we were away', () => {
    const away: TerminatedState = {
      kind: 'terminated',
      exitCode: 1,
      reason: 'Error',
      startedAtMs: at(0),
      finishedAtMs: at(1),
    }
    const state = { ...away, startedAtMs: at(90_000), finishedAtMs: at(90_001) }
    expect(restartDelayMs(container('main', { restartCount: 1, state, lastTerminated: away }))).toBe(10_000)
  })

  it('is always a step of the ladder, and never more than one above the last', () => {
    const runs = fc.array(fc.integer({ min: 0, max: 2 * forgivingRunMs }), { maxLength: 30 })
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 5_000 }), (runsMs, latencyMs) => {
        const steps = waitsOf(runsMs, latencyMs).map((waitMs) => restartDelaysMs.indexOf(waitMs))
        for (const [index, step] of steps.entries()) {
          expect(step).toBeGreaterThanOrEqual(0)
          expect(step).toBeLessThanOrEqual((steps[index - 1] ?? -1) + 1)
        }
      }),
    )
  })

  it('is printed as Go does', () => {
    expect(restartDelaysMs.map(formatDelay)).toEqual(['0s', '10s', '20s', '40s', '1m20s', '2m40s', '5m0s'])
  })
})
