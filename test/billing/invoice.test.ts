import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BillQuery } from '../../src/billing/bill-query.ts'
import { bill, type Bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { runningPods, spendPerHourNow } from '../../src/billing/spending.ts'
import { formatBill } from '../../src/cli/bill-table.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { lifeOf, terms, testEvent } from '../support/usage-events.ts'
import { trueNanos } from '../support/billing-oracle.ts'

const never = new AbortController().signal
const hour = 3_600_000
const tencentPrices = [{ fromMs: 0, core: '0.000004976', gib: '0.000002073' }]

describe('a bill', () => {
  let folder: string
  let ledger: LedgerStore
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-bill-'))
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
  })
  afterEach(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })
  const ask = async (query: Partial<BillQuery> = {}): Promise<Bill> =>
    await bill(
      ledger,
      { fromMs: start, toMs: start + 24 * hour, by: 'pod', nowMs: start + 24 * hour, ...query },
      never,
    )

  it('adds up, in every view, to what an independent meter counts', async () => {
    let expected = 0n
    for (let index = 0; index < 20; index += 1) {
      const startMs = start + index * 977_321
      const endMs = startMs + 1 + index * 1_234_567
      await ledger.append(lifeOf(`pod-${index}`, { startMs, endMs }), never)
      expected += trueNanos(
        { startMs, endMs, held: [{ fromMs: startMs, cores: '1', gib: '2' }] },
        tencentPrices,
      )
    }
    for (const by of ['namespace', 'workload', 'pod'] as const) {
      const { rows, totals } = await ask({ by, toMs: start + 48 * hour })
      expect(rows).toHaveLength(by === 'namespace' ? 1 : 20)
      const cents = rows.reduce((sum, { amount }) => sum + nanosOf(amount), 0n)
      expect(cents).toBe(expected)
      expect(totals).toEqual([{ currency: 'USD', amount: decimalOf(expected) }])
    }
  })

  it('for two halves adds up to the bill for the whole', async () => {
    await ledger.append(lifeOf('a', { startMs: start + 1234, endMs: start + 7 * hour + 77 }), never)
    const amount = async (fromMs: number, toMs: number): Promise<bigint> =>
      nanosOf((await ask({ fromMs, toMs })).totals[0]?.amount ?? '0')
    const whole = await amount(start, start + 24 * hour)
    expect(
      (await amount(start, start + 3 * hour)) + (await amount(start + 3 * hour, start + 24 * hour)),
    ).toBe(whole)
  })

  it('widens a period to whole hours and says so', async () => {
    const { from, to } = await ask({ fromMs: start + 1, toMs: start + hour + 1 })
    expect([from, to]).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T02:00:00.000Z'])
  })

  it('marks what still runs, and prices it up to now', async () => {
    await ledger.append(lifeOf('a', { startMs: start }), never)
    expect((await ask({ nowMs: start + 1000 })).rows).toMatchObject([
      { pod: 'a', open: true, coreSeconds: '1', gibSeconds: '2', amount: '0.000009122' },
    ])
  })

  it('leaves out what has not begun by now', async () => {
    await ledger.append(lifeOf('a', { startMs: start + 5000 }), never)
    expect((await ask({ nowMs: start + 1000 })).rows).toEqual([])
  })

  it('names what ran without a price', async () => {
    const spec = { cpuMillis: 1000n, memoryMiB: 1024n, gpus: 1n }
    await ledger.append(lifeOf('a', { startMs: start, endMs: start + 1000, spec }), never)
    expect((await ask()).rows).toMatchObject([{ gpuSeconds: '1', unpriced: ['gpu'], amount: '0.000007049' }])
  })

  it('prices GPUs by a book that has a price for them', async () => {
    const spec = { cpuMillis: 1000n, memoryMiB: 1024n, gpus: 1n }
    const life = { startMs: start, endMs: start + hour, spec, priceBook: 'flat-demo' }
    await ledger.append(lifeOf('a', life), never)
    expect((await ask()).totals).toEqual([{ currency: 'USD', amount: '2.045' }])
  })

  it('takes adjustments in, also for a Pod that did not run in the period', async () => {
    await ledger.append(lifeOf('a', { startMs: start - 9 * hour, endMs: start - 8 * hour }), never)
    const fact = {
      kind: 'ADJUSTED',
      reference: '1',
      reason: 'credit',
      amount: '-0.01',
      currency: 'USD',
    } as const
    await ledger.append([testEvent('a', { atMs: start, fact, source: 'person' })], never)
    expect((await ask()).rows).toMatchObject([{ namespace: 'default', pod: 'a', amount: '-0.01' }])
  })

  it('explains each line so that the sum can be done again', async () => {
    await ledger.append(lifeOf('a', { startMs: start, endMs: start + 12_345 }), never)
    const { pods } = await ask({ explain: true })
    expect(pods).toMatchObject([
      {
        pod: 'a',
        pool: 'burst',
        spec: '1 core, 2 GiB',
        seconds: '12.345',
        endKnown: 'exact',
        priceBook: 'tencent-eks-intl-2023-06-30',
        lines: [
          {
            hour: '2026-01-01T00:00:00.000Z',
            sku: 'eks-intel-core',
            formula:
              '1 core × 12.345 s × 0.000004976 USD per core-second = 0.00006142872, rounded half even at 9 places',
            amount: '0.000061429',
          },
          { sku: 'eks-intel-memory', amount: '0.000051182' },
        ],
      },
    ])
  })

  it('shows both parts of a Pod that was resized', async () => {
    const bigger = { cpuMillis: 2000n, memoryMiB: 4096n, gpus: 0n }
    const asked = { kind: 'RESIZING', generation: 2, terms: terms(bigger) } as const
    const done = { kind: 'RESIZED', generation: 2 } as const
    await ledger.append(lifeOf('a', { startMs: start, endMs: start + 30_000 }), never)
    await ledger.append(
      [
        testEvent('a', { atMs: start + 10_000, fact: asked }),
        testEvent('a', { atMs: start + 10_200, fact: done }),
      ],
      never,
    )
    const answer = await ask({ explain: true })
    expect(answer.rows).toMatchObject([{ coreSeconds: '50', gibSeconds: '100' }])
    expect(answer.pods?.[0]).toMatchObject({
      spec: '2 cores, 4 GiB',
      sizes: [
        { from: '2026-01-01T00:00:00.000Z', spec: '1 core, 2 GiB' },
        { from: '2026-01-01T00:00:10.000Z', spec: '2 cores, 4 GiB' },
      ],
    })
    expect(answer.pods?.[0]?.lines[0]?.formula).toMatch(/^1 core × 10 s × \S+ .* \+ 2 cores × 20 s × /)
    expect(formatBill(answer)).toContain(
      'default/a was resized: 1 core, 2 GiB from 2026-01-01T00:00:00.000Z; 2 cores, 4 GiB from',
    )
  })

  it('rejects with LedgerCorrupt when the book that was billed by is not there', async () => {
    await ledger.append(lifeOf('a', { startMs: start, endMs: start + 1, priceBook: 'lost' }), never)
    await expect(ask()).rejects.toMatchObject({
      code: 'LedgerCorrupt',
      message: expect.stringContaining('"lost"'),
    })
  })

  it('tells what runs now costs an hour, Pod by Pod and in all', async () => {
    await ledger.append(lifeOf('a', { startMs: start }), never)
    await ledger.append(lifeOf('b', { startMs: start + 1 }), never)
    await ledger.append(lifeOf('over', { startMs: start, endMs: start + 5 }), never)
    expect(await spendPerHourNow(ledger, start + 10, never)).toEqual([
      { currency: 'USD', amount: '0.0656784' },
    ])
    expect(await runningPods(ledger, start + 10, never)).toMatchObject([
      {
        pod: 'a',
        spec: '1 core, 2 GiB',
        perHour: { amount: '0.0328392', currency: 'USD' },
        billedSinceMs: start,
      },
      { pod: 'b' },
    ])
  })
})

function nanosOf(amount: string): bigint {
  const [whole = '', fraction = ''] = amount.split('.')
  return BigInt(whole + fraction.padEnd(9, '0'))
}

function decimalOf(nanos: bigint): string {
  const digits = String(nanos).padStart(10, '0')
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, '')
}
