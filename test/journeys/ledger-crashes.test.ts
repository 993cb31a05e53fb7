/**
 * SIGKILL of the process that runs a Pod's straight line, before, after and while each write and each call that lasts:
 * whatever is billed in the end is what would have been without it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crashRun, type CrashOutcome, type CrashPoint } from '../support/crash-run.ts'
import { crashScenarios } from '../support/crash-scenarios.ts'

/** Every n-th point; all of them with `npm run ledger:crashes`. */
const every = Number(process.env['SPILLWAY_CRASH_EVERY'] ?? 25)
const heartbeatMs = 60_000

describe('a Pod’s bill, with Spillway killed', () => {
  let folder: string
  let files = 0
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-crashes-'))
  })
  afterEach(async () => await rm(folder, { recursive: true }))
  const ledger = () => ({ kind: 'sqlite', file: join(folder, `${files++}.db`) }) as const

  it.each(crashScenarios)('is the same when it $name', { timeout: 1_800_000 }, async (scenario) => {
    const whole = await crashRun(scenario, ledger())
    expect(whole.problems).toEqual([])
    expect(whole.intervals.map(({ confidence }) => confidence)).toEqual(scenario.ends)
    expectTrue(whole)
    const points = whole.points.flatMap((what, index) => crashPoints(what, index + 1))
    const tried = points.filter((_, index) => (index + scenario.name.length) % every === 0)
    for (const point of tried) {
      const crashed = await crashRun(scenario, ledger(), point)
      const what = `killed ${point.phase} ${point.number} (${whole.points[point.number - 1]})`
      expect({ what, problems: crashed.problems, billed: crashed.billed }).toEqual({
        what,
        problems: [],
        billed: whole.billed,
      })
      expectTrue(crashed)
    }
    process.stdout.write(
      `crashes: a Pod that ${scenario.name}: ${whole.points.length} writes and calls, killed at ${tried.length} points, billed alike\n`,
    )
  })
})

/** What the world itself has: to the millisecond where it could still be told, else within a heartbeat. */
function expectTrue({ intervals, world }: CrashOutcome): void {
  for (const [index, { startMs, endMs = Infinity, confidence }] of intervals.entries()) {
    const { createdMs, runs, lostMs } = world.sandboxes[index] ?? { createdMs: 0, runs: [], lostMs: 0 }
    expect(startMs).toBe(createdMs)
    if (confidence === 'exact') expect(endMs).toBe(runs.at(-1)?.finishedMs)
    if (confidence === 'estimated') {
      expect(lostMs - endMs).toBeLessThanOrEqual(heartbeatMs)
      expect(endMs).toBeLessThanOrEqual(lostMs)
    }
  }
}

/** A call to the outside is done at once: nothing lies between before and after. */
function crashPoints(what: string, number: number): CrashPoint[] {
  const phases = what.startsWith('append')
    ? (['before', 'while', 'after'] as const)
    : (['before', 'after'] as const)
  return phases.map((phase) => ({ number, phase }))
}
