import { expect, it } from 'vitest'
import { hourMs } from '../../src/billing/charges.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { encodeJson, genesisHash } from '../../src/billing/ledger-json.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { euroBook, octoberMs } from '../support/late-histories.ts'
import { closedFact, intentFact, lifeOf, openedFact, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const startMs = octoberMs + 23 * hourMs
const ever = { fromMs: 0, toMs: octoberMs + 999 * hourMs }

/** What every ledger store has to do with sums, seals and what comes after them. */
export function testSealedLedger(current: () => LedgerStore, reopen: () => Promise<void>): void {
  const begin = async (): Promise<void> => {
    await current().keepPriceBooks([euroBook], never)
    const lasts = { startMs, priceBook: euroBook.id }
    await current().append(lifeOf('overnight', { ...lasts, endMs: startMs + 2 * hourMs }), never)
    await current().append(lifeOf('short', { ...lasts, endMs: startMs + 1000 }), never)
    await current().append(lifeOf('open', lasts), never)
    const seen = { kind: 'OBSERVED', bucket: 1 } as const
    await current().append([testEvent('open', { atMs: startMs + 3 * hourMs, fact: seen })], never)
  }
  const seal = (toMs: number) =>
    sealPeriod(current(), { toMs, nowMs: toMs + hourMs, acceptUncertain: true }, never)

  it('adds up what ran by namespace, pool and day, and counts each Pod once', async () => {
    await begin()
    await reopen()
    const nowMs = startMs + 3 * hourMs
    const period = { fromMs: octoberMs, toMs: octoberMs + 72 * hourMs }
    // A core and two GiB are 0.000009122 a second.
    expect(await current().totals({ period, by: ['namespace'], nowMs }, never)).toMatchObject([
      { namespace: 'default', currency: 'EUR', pods: 3, open: true, nanos: 164_205_122n },
    ])
    const days = await current().totals({ period, by: ['day'], nowMs }, never)
    expect(days.map(({ pods, open, nanos }) => ({ pods, open, nanos }))).toEqual([
      { pods: 3, open: false, nanos: 65_687_522n },
      { pods: 2, open: true, nanos: 98_517_600n },
    ])
    expect(await current().totals({ period, by: [], nowMs, pools: ['other'] }, never)).toEqual([])
  })

  it('keeps seals, each chained to the one before, and none over another', async () => {
    await begin()
    const first = await seal(startMs + hourMs)
    const second = await seal(startMs + 2 * hourMs)
    await reopen()
    expect(await current().seals(never)).toEqual([first, second])
    expect([first.prevHash, second.prevHash]).toEqual([genesisHash, first.hash])
    await expect(current().seal(second, never)).rejects.toMatchObject({ code: 'Rejected' })
  })

  it('does not seal what it was told more of since it was read', async () => {
    await begin()
    const { seq } = await current().head(never)
    const draft = { ...(await seal(startMs + hourMs)), readUpToSeq: seq }
    const period = { fromMs: startMs + hourMs, toMs: startMs + 2 * hourMs }
    await current().append([testEvent('late', { atMs: startMs, fact: intentFact('late') })], never)
    await expect(current().seal({ ...draft, period }, never)).rejects.toMatchObject({ code: 'Busy' })
  })

  it('corrects a sealed period by what comes later, once, and holds every claim', async () => {
    await begin()
    await seal(startMs + hourMs)
    const late = testEvent('open', { atMs: startMs + 1000, fact: closedFact('exact') })
    await current().append([late], never)
    await reopen()
    await current().append([late], never)
    expect(await current().adjustments(ever, never)).toMatchObject([
      {
        podUid: 'open',
        atMs: startMs + hourMs,
        amount: '-0.032830078',
        currency: 'EUR',
        corrects: { causedBy: late.id, quantities: { cpuMilliMs: -3_599_000_000n } },
      },
    ])
    const nowMs = startMs + 5 * hourMs
    expect((await verifyLedger(current(), { nowMs }, never)).problems).toEqual([])
  })

  it('keeps the last heartbeat of each sandbox in place, and in the log what a seal or a next sandbox made of it', async () => {
    await begin()
    const told = async () => (await current().head(never)).seq
    const before = await told()
    const seen = (pod: string, hours: number, incarnation = 0) =>
      testEvent(pod, {
        atMs: startMs + hours * hourMs,
        incarnation,
        fact: { kind: 'OBSERVED', bucket: hours },
      })
    await current().append([seen('open', 4), seen('open', 5), seen('other', 4), seen('open', 4, 1)], never)
    expect(await current().append([seen('open', 4), seen('open', 6)], never)).toEqual([
      'duplicate',
      'appended',
    ])
    await reopen()
    expect(await told()).toBe(before)
    expect(await current().openIntervals(never)).toMatchObject([{ observedUntilMs: startMs + 6 * hourMs }])
    await seal(startMs + 4 * hourMs)
    expect(await told()).toBe(before + 1)
    await current().append([seen('open', 7)], never)
    const next = { atMs: startMs + 8 * hourMs, incarnation: 1, fact: openedFact('next') }
    await current().append([testEvent('open', next)], never)
    expect(await told()).toBe(before + 3)
    expect(await current().intervals(ever, never)).toContainEqual(
      expect.objectContaining({ podUid: 'open', incarnation: 0, endMs: startMs + 7 * hourMs }),
    )
    expect((await verifyLedger(current(), { nowMs: startMs + 9 * hourMs }, never)).problems).toEqual([])
  })

  it('makes the same again from its events and seals', async () => {
    await begin()
    await seal(startMs + hourMs)
    await current().append([testEvent('open', { atMs: startMs + 1000, fact: closedFact('exact') })], never)
    const all = async () =>
      encodeJson([
        await current().pods({ afterPodUid: '', limit: 9 }, never),
        await current().adjustments(ever, never),
        (await current().keptTotals(never)).map((total) => encodeJson(total)).sort(),
      ])
    const before = await all()
    await current().rebuild(never)
    expect(await all()).toBe(before)
  })

  it('lists Pods page by page, and what has no outcome yet', async () => {
    await begin()
    await current().append([testEvent('asked', { atMs: startMs, fact: intentFact('asked') })], never)
    const names = async (afterPodUid: string) =>
      (await current().pods({ afterPodUid, limit: 2 }, never)).map(({ podUid }) => podUid)
    expect(await names('')).toEqual(['asked', 'open'])
    expect(await names('open')).toEqual(['overnight', 'short'])
    expect(await current().openQuestions({ fromMs: startMs, toMs: startMs + 1 }, never)).toEqual([
      { podUid: 'asked', kind: 'INTENT', atMs: startMs },
    ])
  })
}
