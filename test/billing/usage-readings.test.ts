import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { UsageReadings } from '../../src/billing/usage-readings.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { memoryLedgerOf } from '../support/memory-ledger-of.ts'
import { shopLedger } from '../support/shop-ledger.ts'
import { closedFact, lifeOf, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const minute = 60_000
const hour = 3_600_000

describe('readings for counters', () => {
  let ledger: LedgerStore
  let clock: FakeClock
  beforeEach(async () => {
    clock = new FakeClock(start + 26 * hour)
    ledger = await memoryLedgerOf(shopLedger(start))
  })
  afterEach(async () => await ledger.close())
  const coreSeconds = async (readings: UsageReadings, pool = 'burst'): Promise<number> => {
    const { usage } = await readings.read(never)
    return usage.find((sample) => sample.pool === pool)?.coreSeconds ?? 0
  }

  it('are what the bill has had a minute ago, by namespace, pool and currency', async () => {
    const { usage, spend } = await new UsageReadings(ledger, clock).read(never)
    const nowMs = clock.wallMs() - minute
    const query = { fromMs: 0, toMs: start + 48 * hour, by: ['namespace', 'pool'], nowMs } as const
    const rows = (await bill(ledger, query, never)).rows.filter(({ correction }) => correction === undefined)
    expect(usage).toHaveLength(2)
    for (const { namespace, pool, coreSeconds: cores, gibSeconds: gib, gpuSeconds: gpus } of usage) {
      const row = rows.find((candidate) => candidate.namespace === namespace && candidate.pool === pool)
      expect([cores, gib, gpus]).toEqual([row?.coreSeconds, row?.gibSeconds, row?.gpuSeconds].map(Number))
      const spent = spend.find((sample) => sample.namespace === namespace && sample.pool === pool)
      expect(spent).toEqual({ namespace, pool, currency: 'USD', amount: Number(row?.amount) })
    }
  })

  it('go on after a restart where they were', async () => {
    const before = await new UsageReadings(ledger, clock).read(never)
    expect(await new UsageReadings(ledger, clock).read(never)).toEqual(before)
    expect(before.usage.every((sample) => sample.coreSeconds > 0)).toBe(true)
  })

  it('do not go back when a Pod has ended a little before it was seen to, nor after a restart then', async () => {
    const readings = new UsageReadings(ledger, clock)
    const running = await coreSeconds(readings)
    await clock.advance(30_000)
    const end = testEvent('web-2', { atMs: start + 26 * hour - 20_000, fact: closedFact('exact') })
    await ledger.append([end], never)
    const ended = await coreSeconds(readings)
    expect(ended).toBeGreaterThanOrEqual(running)
    expect(await coreSeconds(new UsageReadings(ledger, clock))).toBe(ended)
  })

  it('hold back what turns out to be less, until the true figure has come by', async () => {
    const readings = new UsageReadings(ledger, clock)
    const running = await coreSeconds(readings)
    await clock.advance(10_000)
    const atMs = start + 25 * hour
    await ledger.append([testEvent('web-2', { atMs, fact: closedFact('exact') })], never)
    expect(await coreSeconds(readings)).toBe(running)
    await ledger.append(
      lifeOf('more', { startMs: atMs, endMs: atMs + 2 * hour, pod: { namespace: 'shop' } }),
      never,
    )
    await clock.advance(2 * hour)
    // An hour less of the one, two hours of the other.
    expect(await coreSeconds(readings)).toBeCloseTo(running + hour / 1000 + minute / 1000, 6)
  })

  it('cost what runs, and not what ever ran', async () => {
    const refused = (): never => {
      throw new Error('this reads Pod by Pod')
    }
    const sums = Object.assign(Object.create(ledger) as LedgerStore, {
      totals: ledger.totals.bind(ledger),
      openIntervals: ledger.openIntervals.bind(ledger),
      intervals: refused,
      history: refused,
      events: refused,
      adjustments: refused,
    })
    expect(await coreSeconds(new UsageReadings(sums, clock))).toBeGreaterThan(0)
  })

  it('are shared by whoever asks within five seconds', async () => {
    let asked = 0
    const counting = Object.assign(Object.create(ledger) as LedgerStore, {
      openIntervals: ledger.openIntervals.bind(ledger),
      totals: (...args: Parameters<LedgerStore['totals']>) => {
        asked += 1
        return ledger.totals(...args)
      },
    })
    const readings = new UsageReadings(counting, clock)
    await Promise.all([readings.read(never), readings.read(never)])
    await clock.advance(4_000)
    await readings.read(never)
    expect(asked).toBe(1)
    await clock.advance(2_000)
    await readings.read(never)
    expect(asked).toBe(2)
  })

  it('tell what nobody has seen for a while, and for how long', async () => {
    // web-2 runs since four hours, without a heartbeat.
    expect(await new UsageReadings(ledger, clock).read(never)).toMatchObject({
      openIntervals: 1,
      unreconciled: 1,
      lagSeconds: 4 * 3600 - 0.5,
    })
    const seen = testEvent('web-2', { atMs: clock.wallMs() - minute, fact: { kind: 'OBSERVED', bucket: 1 } })
    await ledger.append([seen], never)
    expect(await new UsageReadings(ledger, clock).read(never)).toMatchObject({
      openIntervals: 1,
      unreconciled: 0,
      lagSeconds: 60,
    })
  })

  it('are asked anew after a failure', async () => {
    let fails = true
    const flaky = Object.assign(Object.create(ledger) as LedgerStore, {
      openIntervals: ledger.openIntervals.bind(ledger),
      totals: (...args: Parameters<LedgerStore['totals']>) =>
        fails ? Promise.reject(new Error('the disk')) : ledger.totals(...args),
    })
    const readings = new UsageReadings(flaky, clock)
    await expect(readings.read(never)).rejects.toThrow('the disk')
    fails = false
    expect((await readings.read(never)).openIntervals).toBe(1)
  })
})
