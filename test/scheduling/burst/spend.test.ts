import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rational } from '../../../src/model/money.ts'
import { commitmentOf, costOf, periodAt, reservation } from '../../../src/scheduling/burst/spend.ts'
import { dollars } from './samples.ts'

const at = (time: string): number => Date.parse(time)

describe('what a Pod may still cost', () => {
  test('is its rate until the hour, the day and the month end', () => {
    const from = at('2026-02-27T22:30:00Z')
    expect(reservation(dollars(2n), { fromMs: from, toMs: Number.POSITIVE_INFINITY }, from)).toEqual({
      hour: 1_000_000_000n,
      day: 3_000_000_000n,
      month: 51_000_000_000n,
    })
  })

  test('is no more than until its deadline', () => {
    const from = at('2026-02-27T22:30:00Z')
    const cost = reservation(dollars(2n), { fromMs: from, toMs: from + 3_600_000 }, from)
    expect(cost).toEqual({ hour: 1_000_000_000n, day: 2_000_000_000n, month: 2_000_000_000n })
  })

  test('is rounded up, with what the rounding of each hour’s lines may add', () => {
    const rate = { currency: 'USD', perHour: rational(1n, 3n), roundingNanos: 7n }
    const from = at('2026-02-27T22:59:59.999Z')
    // Two hours are touched.
    expect(costOf(rate, { fromMs: from, toMs: from + 2 })).toBe(186n + 14n)
    expect(costOf(rate, { fromMs: from, toMs: from })).toBe(0n)
  })

  test('periods are those of UTC', () => {
    const now = at('2026-12-31T23:59:59.999Z')
    const until = (period: 'hour' | 'day' | 'month'): string =>
      new Date(periodAt(period, now).toMs).toISOString()
    expect(until('hour')).toBe('2027-01-01T00:00:00.000Z')
    expect(until('day')).toBe('2027-01-01T00:00:00.000Z')
    expect(until('month')).toBe('2027-01-01T00:00:00.000Z')
    expect(new Date(periodAt('month', now).fromMs).toISOString()).toBe('2026-12-01T00:00:00.000Z')
  })
})

test('what is billed for a least time reserves that, however soon it ends', () => {
  const nowMs = at('2026-03-10T10:30:00Z')
  const soon = { fromMs: nowMs, toMs: nowMs + 10_000 }
  expect(reservation(dollars(3600n), soon, nowMs).hour).toBe(10_000_000_000n)
  expect(reservation({ ...dollars(3600n), minimumMs: 60_000 }, soon, nowMs).hour).toBe(60_000_000_000n)
})

describe('what a record of the ledger comes to later', () => {
  const spent = { hour: 5n, day: 50n, month: 500n }
  const record = { namespace: 'shop', labels: {}, pool: 'burst', currency: 'USD', spent }

  test('stays as it was when it has ended, but for the periods that have ended, too', () => {
    const atMs = at('2026-03-10T10:59:00Z')
    const moment = (time: string) => ({ atMs, nowMs: at(time), endsMs: Number.POSITIVE_INFINITY })
    expect(commitmentOf(record, moment('2026-03-10T10:59:30Z')).spent).toEqual(spent)
    expect(commitmentOf(record, moment('2026-03-10T11:00:00Z')).spent).toEqual({ ...spent, hour: 0n })
    expect(commitmentOf(record, moment('2026-04-01T00:00:00Z')).spent).toEqual({
      hour: 0n,
      day: 0n,
      month: 0n,
    })
  })

  test('grows at its rate while it runs, and spent and reserved together stay what they were', () => {
    const open = { uid: 'u', rate: dollars(3600n) }
    fc.assert(
      fc.property(fc.nat(3_599_000), fc.nat(3_599_000), fc.nat(7_200_000), (a, b, ends) => {
        const hour = at('2026-03-10T10:00:00Z')
        const [atMs, nowMs] = [hour + Math.min(a, b), hour + Math.max(a, b)]
        const together = (now: number): bigint => {
          const { spent: gone, reserved } = commitmentOf(
            { ...record, open },
            { atMs, nowMs: now, endsMs: Math.max(hour + ends, nowMs) },
          )
          expect(reserved.hour).toBeGreaterThanOrEqual(0n)
          return gone.hour + reserved.hour
        }
        expect(together(nowMs)).toBe(together(atMs))
      }),
    )
  })
})
