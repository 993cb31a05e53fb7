/**
 * SIGKILL of the process that runs a Pod's straight line, before, after and while each write and each call that lasts:
 * whatever is billed in the end is what would have been without it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { postgresCrashLedgers, sqliteCrashLedgers, type CrashLedgers } from '../support/crash-ledger.ts'
import { crashRun, type CrashOutcome, type CrashPoint } from '../support/crash-run.ts'
import { crashScenarios } from '../support/crash-scenarios.ts'

/** Every n-th point; all of them with `npm run ledger:crashes`. */
const every = Number(process.env['SPILLWAY_CRASH_EVERY'] ?? 50)
const heartbeatMs = 60_000

const kinds = [
  { kind: 'SQLite', begin: sqliteCrashLedgers, shift: 0 },
  // Of the points that are tried, where not all are, half are others.
  { kind: 'PostgreSQL', begin: postgresCrashLedgers, shift: Math.floor(every / 2) },
]
/** Of each scenario, without a crash, in the store that came first. */
const alike = new Map<string, Pick<CrashOutcome, 'points' | 'billed'>>()

describe.each(kinds)('a Pod’s bill on $kind, with Spillway killed', ({ kind, begin, shift }) => {
  let ledgers: CrashLedgers
  beforeAll(async () => {
    ledgers = await begin()
  })
  afterAll(async () => await ledgers?.[Symbol.asyncDispose]())

  it.each(crashScenarios)('is the same when it $name', { timeout: 1_800_000 }, async (scenario) => {
    const run = (point?: CrashPoint) => ledgers.use((ledger) => crashRun(scenario, ledger, point))
    const whole = await run()
    expect(whole.problems).toEqual([])
    expect(whole.intervals.map(({ confidence }) => confidence)).toEqual(scenario.ends)
    expectTrue(whole)
    const { points, billed } = whole
    expect({ points, billed }).toEqual(alike.get(scenario.name) ?? { points, billed })
    alike.set(scenario.name, { points, billed })
    const all = points.flatMap((what, index) => crashPoints(what, index + 1))
    const tried = all.filter((_, index) => (index + scenario.name.length + shift) % every === 0)
    for (const point of tried) {
      const crashed = await run(point)
      const what = `killed ${point.phase} ${point.number} (${points[point.number - 1]})`
      expect({ what, problems: crashed.problems, billed: crashed.billed }).toEqual({
        what,
        problems: [],
        billed,
      })
      expectTrue(crashed)
    }
    process.stdout.write(
      `crashes on ${kind}: a Pod that ${scenario.name}: ${points.length} writes and calls, killed at ${tried.length} points, billed alike\n`,
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
