import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { projectPod } from '../../src/billing/projection.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { Confidence, UsageEvent, UsageFact } from '../../src/model/usage.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import {
  closedFact,
  intentFact,
  lifeOf,
  openedFact,
  smallSpec,
  terms,
  testEvent,
} from '../support/usage-events.ts'

const uid = asPodUid('p')
const bigger = { ...smallSpec, cpuMillis: 2000n }
const project = (events: readonly UsageEvent[]): ReturnType<typeof projectPod> => projectPod(uid, events)

function resizing(generation: number, atMs: number): UsageEvent {
  return testEvent('p', { atMs, fact: { kind: 'RESIZING', generation, terms: terms(bigger) } })
}

function resized(generation: number, atMs: number): UsageEvent {
  return testEvent('p', { atMs, fact: { kind: 'RESIZED', generation } })
}

const anyFact: fc.Arbitrary<UsageFact> = fc.oneof(
  fc.constant(intentFact('p')),
  fc.constantFrom('s0', 's1').map(openedFact),
  fc.constantFrom<Confidence[]>('estimated', 'recorded', 'exact').map(closedFact),
  fc.nat(3).map((generation): UsageFact => ({ kind: 'RESIZING', generation, terms: terms(bigger) })),
  fc.nat(3).map((generation): UsageFact => ({ kind: 'RESIZED', generation })),
  fc.nat(3).map((generation): UsageFact => ({ kind: 'VOIDED', reason: 'refused', generation })),
  fc.constant<UsageFact>({ kind: 'VOIDED', reason: 'never started' }),
  fc.constant<UsageFact>({ kind: 'STOPPING', reason: 'asked' }),
  fc.nat(5).map((bucket): UsageFact => ({ kind: 'OBSERVED', bucket })),
  fc.constantFrom('x', 'y').map((reference): UsageFact => ({
    kind: 'ADJUSTED',
    reference,
    reason: 'r',
    amount: '1',
    currency: 'USD',
  })),
)

/** Any heap of facts, possible or not: also contradicting ones under one id. */
const anyEvents = fc.array(
  fc
    .record({ fact: anyFact, atMs: fc.nat(20_000_000).map((ms) => start + ms), incarnation: fc.nat(2) })
    .map((event) => testEvent('p', event)),
  { maxLength: 25 },
)

describe('a Pod’s history', () => {
  it('is the same in whatever order and however often its events come', () => {
    const shuffled = anyEvents.chain((events) =>
      fc.tuple(
        fc.constant(events),
        fc.shuffledSubarray([...events, ...events], { minLength: events.length * 2 }),
      ),
    )
    fc.assert(
      fc.property(shuffled, ([events, again]) => {
        expect(project(again)).toEqual(project(events))
      }),
      { numRuns: 500 },
    )
  })

  it('never has intervals that overlap or end before they start', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const byStart = project(events).intervals.toSorted((a, b) => a.incarnation - b.incarnation)
        for (const [index, { startMs, endMs }] of byStart.entries()) {
          const next = byStart[index + 1]
          if (endMs !== undefined) expect(endMs).toBeGreaterThanOrEqual(startMs)
          // Sandboxes are numbered in the order of their making; backends that say otherwise are not believed.
          if (next && next.startMs >= startMs) expect(endMs).toBeLessThanOrEqual(next.startMs)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('accounts for every event: it counts, or it is listed as ignored', () => {
    const stale = [closedFact('estimated'), closedFact('recorded')].map((fact) =>
      testEvent('p', { atMs: start + 1, fact }),
    )
    const nowhere = testEvent('p', { atMs: start, incarnation: 7, fact: { kind: 'STOPPING', reason: 'x' } })
    const voided = testEvent('p', { atMs: start, fact: { kind: 'VOIDED', reason: 'never started' } })
    const { ignored } = project([
      ...lifeOf('p', { startMs: start, endMs: start + 9 }),
      ...stale,
      nowhere,
      voided,
    ])
    expect(ignored.map(({ kind, why }) => `${kind}: ${why}`).sort()).toEqual([
      'CLOSED: the end is better known',
      'CLOSED: the end is better known',
      'STOPPING: that sandbox was never opened',
      'VOIDED: a sandbox was opened after all',
    ])
  })

  it.each<[Confidence[], Confidence]>([
    [['estimated', 'exact', 'recorded'], 'exact'],
    [['recorded', 'estimated'], 'recorded'],
    [['estimated'], 'estimated'],
  ])('of ends that are %j it takes the %s one', (known, best) => {
    const closes = known.map((confidence) =>
      testEvent('p', { atMs: start + confidence.length, fact: closedFact(confidence) }),
    )
    expect(project([...lifeOf('p', { startMs: start }), ...closes]).intervals).toMatchObject([
      { confidence: best, endMs: start + best.length },
    ])
  })

  it('ends a sandbox that has a successor where it was last seen', () => {
    const events = [
      ...lifeOf('p', { startMs: start }),
      testEvent('p', { atMs: start + 60, fact: { kind: 'OBSERVED', bucket: 1 } }),
      testEvent('p', { atMs: start + 100, incarnation: 1, fact: openedFact('s1') }),
    ]
    expect(project(events).intervals).toMatchObject([
      { endMs: start + 60, confidence: 'estimated' },
      { startMs: start + 100, endMs: undefined },
    ])
  })

  it('bills a resize from the record before its call, once it is done', () => {
    const life = lifeOf('p', { startMs: start })
    const sizes = (...events: UsageEvent[]): [number, bigint][] =>
      project([...life, ...events]).intervals[0]?.segments.map((segment): [number, bigint] => [
        segment.fromMs - start,
        segment.terms.spec.cpuMillis,
      ]) ?? []
    const small: [number, bigint] = [0, 1000n]
    expect(sizes(resizing(2, start + 50))).toEqual([small])
    expect(sizes(resizing(2, start + 50), resized(2, start + 70))).toEqual([small, [50, 2000n]])
    const refused = testEvent('p', {
      atMs: start,
      fact: { kind: 'VOIDED', reason: 'no room', generation: 2 },
    })
    expect(sizes(resizing(2, start + 50), refused)).toEqual([small])
    expect(sizes(resizing(2, start + 50), resized(3, start + 70))).toEqual([small])
  })
})
