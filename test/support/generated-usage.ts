import fc from 'fast-check'
import { formatNanos } from '../../src/model/money.ts'
import type { UsageEvent } from '../../src/model/usage.ts'
import { trueNanos } from './billing-oracle.ts'
import { fakeEpochMs as start } from './fake-clock.ts'
import { closedFact, lifeOf, openedFact, testEvent } from './usage-events.ts'

const minute = 60_000
const hour = 3_600_000
const prices = [{ fromMs: 0, core: '0.000004976', gib: '0.000002073' }]
const sizes = [
  { cores: '0.25', gib: '0.5', spec: { cpuMillis: 250n, memoryMiB: 512n, gpus: 0n } },
  { cores: '1', gib: '2', spec: { cpuMillis: 1000n, memoryMiB: 2048n, gpus: 0n } },
  { cores: '16', gib: '64', spec: { cpuMillis: 16_000n, memoryMiB: 65_536n, gpus: 0n } },
]

/** Until when open ones are billed: all of it happens in the ten hours before, around a midnight. */
export const generatedNowMs = start + 30 * hour

/** Pods of several namespaces, pools, workloads and labels; some have two sandboxes, some run on, some are corrected. */
export const generatedUsage = fc.array(
  fc.record({
    startMs: fc.integer({ min: start + 20 * hour, max: start + 28 * hour }),
    ranMs: fc.integer({ min: 0, max: 50 * minute }),
    /** Left out: it ran in one sandbox. */
    againMs: fc.option(fc.integer({ min: 1, max: 20 * minute }), { nil: undefined }),
    runsOn: fc.boolean(),
    size: fc.constantFrom(...sizes),
    namespace: fc.constantFrom('shop', 'etl', 'a"b,c'),
    pool: fc.constantFrom('burst', 'night'),
    workload: fc.constantFrom('web', 'report'),
    team: fc.constantFrom('x', 'y', undefined),
    correctionNanos: fc.option(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), { nil: undefined }),
  }),
  { maxLength: 8 },
)

export type GeneratedLife = typeof generatedUsage extends fc.Arbitrary<(infer T)[]> ? T : never

/** Its events. */
export function eventsOf(life: GeneratedLife, index: number): readonly UsageEvent[] {
  const { startMs, size, namespace, pool, workload, team, correctionNanos } = life
  const uid = `pod-${index}`
  const labels: Record<string, string> = team === undefined ? {} : { team }
  const pod = { namespace, pool, workload: { kind: 'Deployment', name: workload }, labels }
  const [first, second] = sandboxesOf(life)
  const events = lifeOf(uid, { startMs, endMs: first.endMs, spec: size.spec, pod })
  if (second) {
    events.push(testEvent(uid, { incarnation: 1, atMs: second.startMs, fact: openedFact('second') }))
    const closed = { incarnation: 1, atMs: second.endMs, fact: closedFact('exact') }
    if (!life.runsOn) events.push(testEvent(uid, closed))
  }
  if (correctionNanos !== undefined) {
    const money = { amount: formatNanos(correctionNanos), currency: 'USD' }
    const fact = { kind: 'ADJUSTED', reference: '1', reason: 'generated', ...money } as const
    events.push(testEvent(uid, { atMs: first.endMs, fact, source: 'person' }))
  }
  return events
}

/** What it costs up to `generatedNowMs`, by other arithmetic; slow. */
export function trueCostOf(life: GeneratedLife): bigint {
  const { cores, gib } = life.size
  const owed = sandboxesOf(life).map(({ startMs, endMs }) =>
    trueNanos({ startMs, endMs, held: [{ fromMs: startMs, cores, gib }] }, prices),
  )
  return owed.reduce((sum, nanos) => sum + nanos, life.correctionNanos ?? 0n)
}

interface Sandbox {
  readonly startMs: number
  readonly endMs: number
}

function sandboxesOf({ startMs, ranMs, againMs, runsOn }: GeneratedLife): [Sandbox, ...Sandbox[]] {
  const first = { startMs, endMs: startMs + ranMs }
  if (againMs === undefined) return [first]
  const again = first.endMs + againMs
  return [first, { startMs: again, endMs: runsOn ? generatedNowMs : again + ranMs }]
}
