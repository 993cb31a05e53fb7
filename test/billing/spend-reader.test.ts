import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { SpendReader, type SpendAt } from '../../src/billing/spend-reader.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { formatNanos, roundRational } from '../../src/model/money.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { lifeOf, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const hour = 3_600_000
/** On the second day of the month, half an hour into an hour. */
const now = start + 34.5 * hour

describe('what was spent', () => {
  let folder: string
  let ledger: LedgerStore
  let clock: FakeClock
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-spend-'))
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    clock = new FakeClock(now)
  })
  afterEach(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })

  async function billed(fromMs: number): Promise<string> {
    const nowMs = clock.wallMs()
    const { totals } = await bill(ledger, { fromMs, toMs: start + 48 * hour, by: 'pod', nowMs }, never)
    return totals[0]?.amount ?? '0'
  }

  function sums({ records }: SpendAt): Record<string, string> {
    const of = (period: 'hour' | 'day' | 'month'): string =>
      formatNanos(records.reduce((sum, { spent }) => sum + spent[period], 0n))
    return { hour: of('hour'), day: of('day'), month: of('month') }
  }

  async function everyPeriod(): Promise<Record<string, string>> {
    return {
      hour: await billed(start + 34 * hour),
      day: await billed(start + 24 * hour),
      month: await billed(start),
    }
  }

  it('is what the bill says of the hour, the day and the month, corrections included', async () => {
    await ledger.append(lifeOf('first-day', { startMs: start + 1234, endMs: start + 5 * hour + 77 }), never)
    await ledger.append(
      lifeOf('this-day', { startMs: start + 30 * hour + 5, endMs: start + 34 * hour + 9 }),
      never,
    )
    await ledger.append(lifeOf('runs', { startMs: start + 20 * hour + 3 }), never)
    const correction = (at: number, amount: string) =>
      testEvent('first-day', {
        atMs: at,
        source: 'person',
        fact: { kind: 'ADJUSTED', reference: amount, reason: 'credit', amount, currency: 'USD' },
      })
    await ledger.append([correction(start + hour, '-0.01'), correction(now - 5, '0.25')], never)
    const reader = new SpendReader(ledger, clock)
    expect(sums(await reader.read(never))).toEqual(await everyPeriod())
  })

  it('stays so as time goes on, and from one hour to the next', async () => {
    await ledger.append(lifeOf('runs', { startMs: start + 20 * hour + 3 }), never)
    const reader = new SpendReader(ledger, clock)
    await reader.read(never)
    await clock.advance(20_000)
    expect(sums(await reader.read(never))).toEqual(await everyPeriod())
    await clock.advance(hour)
    const later = await reader.read(never)
    expect(later.atMs).toBe(now + hour + 20_000)
    expect(sums(later)).toEqual({
      hour: await billed(start + 35 * hour),
      day: await billed(start + 24 * hour),
      month: await billed(start),
    })
  })

  it('comes with the rate of what runs, once, and with one record for all of the same labels', async () => {
    await ledger.append(lifeOf('a', { startMs: start, endMs: start + hour }), never)
    await ledger.append(lifeOf('b', { startMs: start + hour, endMs: start + 2 * hour }), never)
    await ledger.append(lifeOf('runs', { startMs: start + 20 * hour }), never)
    const { records } = await new SpendReader(ledger, clock).read(never)
    const open = records.filter((record) => record.open)
    expect(open.map((record) => record.open?.uid)).toEqual(['runs'])
    const rate = open[0]?.open?.rate
    // 1 core and 2 GiB by Tencent's book: 0.000004976 and twice 0.000002073 a second.
    expect(rate && roundRational(rate.perHour, 9, 'half_even')).toBe(3600n * (4976n + 2n * 2073n))
    expect(rate?.roundingNanos).toBe(3n)
    // What is over by now is one record of its namespace and labels.
    expect(records.filter(({ spent, open: running }) => !running && spent.hour === 0n)).toHaveLength(1)
  })
})
