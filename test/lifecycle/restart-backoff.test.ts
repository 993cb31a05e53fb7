import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  firstRestartDelayMs,
  forgivingRunMs,
  formatDelay,
  longestRestartDelayMs,
  nextBackoffMs,
  restartDelayMs,
} from '../../src/lifecycle/restart-backoff.ts'

/** Crashes a container again and again, each run that long, and gives the waits that it had to serve. */
function waitsOf(runsMs: readonly number[]): number[] {
  let backoffMs = 0
  return runsMs.map((runMs) => {
    const run = { backoffMs, startedAtMs: 0 }
    backoffMs = nextBackoffMs(run, runMs)
    return restartDelayMs(run, runMs)
  })
}

const ladderMs = [
  0,
  ...Array.from({ length: 5 }, (_, step) => firstRestartDelayMs * 2 ** step),
  longestRestartDelayMs,
]

describe('the wait before a restart', () => {
  it('is none at first, then 10 s doubling to 5 min', () => {
    const waits = waitsOf(Array.from({ length: 9 }, () => 500))
    expect(waits.map((waitMs) => waitMs / 1000)).toEqual([0, 10, 20, 40, 80, 160, 300, 300, 300])
  })

  it('begins anew after a run of ten minutes', () => {
    const waits = waitsOf([500, 500, 500, forgivingRunMs + 1, 500, 500])
    expect(waits.map((waitMs) => waitMs / 1000)).toEqual([0, 10, 20, 0, 10, 20])
  })

  it('is always a step of the ladder, and never more than one above the last', () => {
    const runs = fc.array(fc.integer({ min: 0, max: 2 * forgivingRunMs }), { maxLength: 30 })
    fc.assert(
      fc.property(runs, (runsMs) => {
        const steps = waitsOf(runsMs).map((waitMs) => ladderMs.indexOf(waitMs))
        for (const [index, step] of steps.entries()) {
          expect(step).toBeGreaterThanOrEqual(0)
          expect(step).toBeLessThanOrEqual((steps[index - 1] ?? -1) + 1)
        }
      }),
    )
  })

  it('is printed as Go does', () => {
    expect(ladderMs.map(formatDelay)).toEqual(['0s', '10s', '20s', '40s', '1m20s', '2m40s', '5m0s'])
  })
})
