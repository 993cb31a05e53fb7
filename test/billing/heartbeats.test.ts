import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hourMs } from '../../src/billing/charges.ts'
import { dayMs } from '../../src/billing/day-charges.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { encodeJson } from '../../src/billing/ledger-json.ts'
import { ofKind, projectPod } from '../../src/billing/projection.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { asPodUid, type PodUid } from '../../src/model/pod-key.ts'
import type { UsageEvent } from '../../src/model/usage.ts'
import { euroBook, lateBooks, octoberMs, someEvents } from '../support/late-histories.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import { closedFact, lifeOf, openedFact, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const nowMs = octoberMs + 12 * dayMs

async function logOf(ledger: LedgerStore): Promise<UsageEvent[]> {
  return (await ledger.events({ afterSeq: 0, limit: 100_000 }, never)).map(({ event }) => event)
}

describe('heartbeats beside the log', () => {
  it('come to what they would come to in the log, in whatever order, with seals in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        someEvents,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 70 })), { maxLength: 2 }),
        async (events, batch, pauses) => {
          const ledger = await openMemoryLedger()
          await ledger.keepPriceBooks(lateBooks, never)
          let untilMs = octoberMs
          for (let at = 0; at < events.length; at += batch) {
            const pause = pauses.find(([after]) => Math.floor(after / batch) * batch === at)
            if (pause) {
              untilMs += pause[1] * hourMs
              const request = { fromMs: 0, toMs: untilMs, nowMs, acceptUncertain: true }
              const { fromMs: _first, ...later } = request
              await sealPeriod(ledger, untilMs - pause[1] * hourMs === octoberMs ? request : later, never)
            }
            await ledger.append(events.slice(at, at + batch), never)
            for (const podUid of new Set(events.map((event) => event.podUid))) {
              // As it was when all of them were in the log.
              const { intervals } = projectPod(podUid, events.slice(0, at + batch))
              expect((await ledger.history(podUid, never)).intervals).toEqual(intervals)
            }
          }
          expect((await verifyLedger(ledger, { nowMs }, never)).problems).toEqual([])
          const log = await logOf(ledger)
          for (const podUid of new Set(events.map((event) => event.podUid)))
            expect(timesOf(podUid, log)).toEqual(timesOf(podUid, events))
          if (pauses.length === 0) expect(decidedNothing(log)).toEqual([])
          await ledger.close()
        },
      ),
      { numRuns: Number(process.env['SPILLWAY_PROPERTY_RUNS'] ?? 40) },
    )
  }, 120_000)
})

/** What bills are made from, but for when what runs was last seen. */
function timesOf(podUid: PodUid, events: readonly UsageEvent[]) {
  return projectPod(podUid, events).intervals.map(({ observedUntilMs: _seen, ...times }) => times)
}

/** Those in the log of sandboxes that have no next one: without seals none of them had to be there. */
function decidedNothing(log: readonly UsageEvent[]): UsageEvent[] {
  return ofKind(log, 'OBSERVED').filter(
    ({ podUid, incarnation }) =>
      !ofKind(log, 'OPENED').some((next) => next.podUid === podUid && next.incarnation > incarnation),
  )
}

describe('a heartbeat', () => {
  const startMs = octoberMs
  let ledger: LedgerStore
  beforeEach(async () => {
    ledger = await openMemoryLedger()
    await ledger.keepPriceBooks([euroBook], never)
  })
  afterEach(() => ledger.close())
  const seen = (afterMs: number, incarnation = 0): UsageEvent =>
    testEvent('a', { atMs: startMs + afterMs, incarnation, fact: { kind: 'OBSERVED', bucket: afterMs } })
  const next = testEvent('a', { atMs: startMs + 90_000, incarnation: 1, fact: openedFact('next') })
  const life = lifeOf('a', { startMs, priceBook: euroBook.id })
  const append = async (...events: readonly UsageEvent[]) => await ledger.append(events, never)
  const observed = async (): Promise<number[]> =>
    ofKind(await logOf(ledger), 'OBSERVED').map(({ atMs }) => atMs - startMs)
  const ends = async () =>
    (await ledger.history(asPodUid('a'), never)).intervals.map(({ endMs }) => endMs && endMs - startMs)
  const problems = async () => (await verifyLedger(ledger, { nowMs }, never)).problems

  it('takes the place of the one before, and is known when it is not later', async () => {
    await append(...life)
    expect(await append(seen(30_000), seen(60_000), seen(45_000))).toEqual([
      'appended',
      'appended',
      'duplicate',
    ])
    expect(await append(seen(60_000), seen(10), seen(60_001))).toEqual(['duplicate', 'duplicate', 'appended'])
    expect(await ledger.openIntervals(never)).toMatchObject([{ observedUntilMs: startMs + 60_001 }])
    expect(await ledger.intervals({ fromMs: 0, toMs: nowMs }, never)).toMatchObject([
      { observedUntilMs: startMs + 60_001 },
    ])
    expect(await logOf(ledger)).toHaveLength(2)
  })

  it.each<[string, readonly (readonly UsageEvent[])[]]>([
    ['before the next sandbox', [life, [seen(40_000)], [next]]],
    ['after it', [life, [next], [seen(40_000)]]],
    ['with it', [[...life, seen(40_000), next]]],
    ['before its own sandbox', [[seen(40_000)], [next], life]],
  ])('is in the log once it ends a sandbox: told %s', async (_when, batches) => {
    for (const batch of batches) await append(...batch)
    expect(await ends()).toEqual([40_000, undefined])
    expect(await observed()).toEqual([40_000])
    expect(await append(seen(40_000), seen(30_000))).toEqual(['duplicate', 'duplicate'])
    expect(await observed()).toEqual([40_000])
    await append(seen(50_000))
    expect(await ends()).toEqual([50_000, undefined])
    expect(await observed()).toEqual([40_000, 50_000])
    await ledger.rebuild(never)
    expect(await problems()).toEqual([])
  })

  it('stays beside the log when an end of its own is known', async () => {
    const closed = testEvent('a', { atMs: startMs + 30_000, fact: closedFact('estimated') })
    await append(...life, seen(40_000), closed, next, seen(50_000))
    expect(await ends()).toEqual([30_000, undefined])
    expect(await observed()).toEqual([])
  })

  it('is in the log once a seal relies on it, and once only', async () => {
    await append(...life, seen(hourMs + 5))
    await append(seen(hourMs + 30_000))
    const seal = (toMs: number) => sealPeriod(ledger, { toMs, nowMs }, never)
    const first = await seal(startMs + hourMs)
    expect(await observed()).toEqual([hourMs + 30_000])
    expect(first).toMatchObject({ accepted: [], head: await ledger.head(never) })
    await append(seen(3 * hourMs))
    await seal(startMs + 2 * hourMs)
    // The log shows by then that it ran through the third hour as well.
    await seal(startMs + 3 * hourMs)
    expect(await observed()).toEqual([hourMs + 30_000, 3 * hourMs])
    const before = encodeJson(await ledger.pods({ afterPodUid: '', limit: 9 }, never))
    await ledger.rebuild(never)
    expect(encodeJson(await ledger.pods({ afterPodUid: '', limit: 9 }, never))).toBe(before)
    expect(await problems()).toEqual([])
  })

  it('corrects a sealed period when it comes too late, once', async () => {
    await append(...life, seen(40_000), next)
    await sealPeriod(ledger, { toMs: startMs + hourMs, nowMs, acceptUncertain: true }, never)
    await append(seen(50_000))
    await append(seen(50_000))
    // Ten seconds of a core and two GiB.
    expect(await ledger.adjustments({ fromMs: 0, toMs: nowMs }, never)).toMatchObject([
      { amount: '0.00009122', corrects: { toMs: startMs + hourMs } },
    ])
    expect(await problems()).toEqual([])
  })
})
