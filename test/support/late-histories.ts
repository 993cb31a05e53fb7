import * as fc from 'fast-check'
import { hourMs } from '../../src/billing/charges.ts'
import { dayMs } from '../../src/billing/day-charges.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { UsageEvent, UsageFact } from '../../src/model/usage.ts'
import { closedFact, intentFact, openedFact, terms, testEvent } from './usage-events.ts'

export const octoberMs = Date.UTC(2026, 9, 29)

const turnMs = octoberMs + 2 * dayMs + 5_000_123

/** Prices that change within an hour, a minimum that reaches over ends, and no price for GPUs. */
export const turningBook: PriceBook = {
  ...tencentEksIntl,
  id: 'turning',
  minimumSeconds: 60,
  secondRounding: 'up',
  prices: [
    { sku: 'core-1', unit: 'Core-Seconds', price: '0.000004976', validTo: new Date(turnMs).toISOString() },
    { sku: 'core-2', unit: 'Core-Seconds', price: '0.0000077', validFrom: new Date(turnMs).toISOString() },
    { sku: 'memory', unit: 'GiB-Hours', price: '0.0071' },
  ],
}

/** In another currency, without anything special. */
export const euroBook: PriceBook = { ...tencentEksIntl, id: 'euro', currency: 'EUR' }

export const lateBooks = [turningBook, euroBook]

/** Often on an hour or a day, where cuts are. */
const anInstant = fc.oneof(
  fc.integer({ min: 0, max: 6 * dayMs }),
  fc.integer({ min: 0, max: 6 * 24 }).map((hour) => hour * hourMs),
  fc.integer({ min: 0, max: 6 }).map((day) => day * dayMs),
)

const aSandbox = fc.record({
  restMs: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 2 * dayMs })),
  lastsMs: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 3 * dayMs })),
  /** In percent of its time; also before it began and after it ended. */
  seen: fc.array(fc.integer({ min: -20, max: 140 }), { maxLength: 3 }),
  ends: fc.uniqueArray(fc.constantFrom('exact' as const, 'recorded' as const, 'estimated' as const), {
    maxLength: 3,
  }),
})

const aPod = fc.record({
  startMs: anInstant,
  namespace: fc.constantFrom('shop', 'batch'),
  pool: fc.constantFrom('burst', 'gpu'),
  book: fc.constantFrom('turning', 'turning', 'euro'),
  intended: fc.integer({ min: 0, max: 9 }).map((dice) => dice > 0),
  gpus: fc.constantFrom(0n, 0n, 1n),
  sandboxes: fc.array(aSandbox, { minLength: 1, maxLength: 3 }),
  resizes: fc.array(
    fc.record({ afterMs: anInstant, cores: fc.integer({ min: 1, max: 9 }), done: fc.boolean() }),
    {
      maxLength: 2,
    },
  ),
  credit: fc.option(fc.record({ atMs: anInstant, cents: fc.integer({ min: -99, max: 99 }) })),
})

type PodLife = typeof aPod extends fc.Arbitrary<infer T> ? T : never

/** Events of a few Pods in any order: heartbeats, ends of every confidence, sizes, credits, and starts told last. */
export const someEvents: fc.Arbitrary<readonly UsageEvent[]> = fc
  .array(aPod, { minLength: 1, maxLength: 4 })
  .map((pods) => pods.flatMap((pod, index) => eventsOf(`pod-${index}`, pod)))
  .chain((events) => fc.shuffledSubarray(events, { minLength: events.length }))

function eventsOf(name: string, pod: PodLife): UsageEvent[] {
  const events: UsageEvent[] = []
  const add = (atMs: number, fact: UsageFact, incarnation = 0): void => {
    events.push(testEvent(name, { atMs, fact, incarnation }))
  }
  let atMs = octoberMs + pod.startMs
  const beganMs = atMs
  if (pod.intended) add(atMs - 10, intentOf(name, pod))
  for (const [incarnation, { restMs, lastsMs, seen, ends }] of pod.sandboxes.entries()) {
    atMs += restMs
    add(atMs, openedFact(`sandbox-${incarnation}`), incarnation)
    for (const [bucket, percent] of seen.entries()) {
      add(atMs + Math.floor((lastsMs * percent) / 100), { kind: 'OBSERVED', bucket }, incarnation)
    }
    // The poorer an account of an end is, the earlier it puts it.
    for (const confidence of ends) {
      const missedMs = { exact: 0, recorded: 500, estimated: Math.floor(lastsMs / 3) }[confidence]
      add(Math.max(atMs, atMs + lastsMs - missedMs), closedFact(confidence), incarnation)
    }
    atMs += lastsMs
  }
  for (const [generation, { afterMs, cores, done }] of pod.resizes.entries()) {
    const spec = { cpuMillis: BigInt(cores) * 500n, memoryMiB: BigInt(cores) * 700n, gpus: 0n }
    add(beganMs + afterMs, { kind: 'RESIZING', generation, terms: terms(spec, pod.book) })
    if (done) add(beganMs + afterMs + 2000, { kind: 'RESIZED', generation })
  }
  if (pod.credit) {
    const { cents } = pod.credit
    const amount = `${cents < 0 ? '-' : ''}0.${String(Math.abs(cents)).padStart(2, '0')}`
    const about = { namespace: pod.namespace, workload: '', pod: name, pool: pod.pool }
    const fact = {
      kind: 'ADJUSTED',
      reference: 'case',
      reason: 'slow',
      amount,
      currency: 'USD',
      about,
    } as const
    add(octoberMs + pod.credit.atMs, fact)
  }
  return events
}

function intentOf(name: string, { namespace, pool, book, gpus }: PodLife): UsageFact {
  const fact = intentFact(name, { cpuMillis: 1500n, memoryMiB: 3000n, gpus }, book)
  return fact.kind === 'INTENT' ? { ...fact, pod: { ...fact.pod, namespace, pool } } : fact
}
