import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { focusColumns, type FocusVersion } from '../../../src/billing/focus/focus-columns.ts'
import { focusCsv, focusRows } from '../../../src/billing/focus/focus-export.ts'
import { bill } from '../../../src/billing/invoice.ts'
import type { LedgerStore } from '../../../src/billing/ledger.ts'
import { noQuantities, type UsageEvent } from '../../../src/model/usage.ts'
import { fakeEpochMs as start } from '../../support/fake-clock.ts'
import { eventsOf, generatedNowMs, generatedUsage } from '../../support/generated-usage.ts'
import { parseCsv } from '../../support/parse-csv.ts'
import { memoryLedgerOf } from '../../support/memory-ledger-of.ts'
import { shopLedger } from '../../support/shop-ledger.ts'
import { lifeOf, testEvent } from '../../support/usage-events.ts'

const never = new AbortController().signal
const hour = 3_600_000
const parties = { operator: 'Acme', host: 'Machines', accountName: undefined }

interface Asked {
  readonly version?: FocusVersion
  readonly nowMs?: number
}

/** By column; null is undefined. */
type Row = Readonly<Record<string, string | undefined>>

async function exported(ledger: LedgerStore, asked: Asked = {}): Promise<Row[]> {
  const { version = '1.2', nowMs = start + 26 * hour } = asked
  const query = { fromMs: start, toMs: start + 48 * hour, nowMs }
  let csv = ''
  for await (const piece of focusCsv(focusRows(ledger, query, never), { version, parties })) csv += piece
  const [header = [], ...records] = parseCsv(csv)
  return records.map((record) => Object.fromEntries(header.map((name, index) => [name ?? '', record[index]])))
}

/** With nanoseconds of money and more: whole units of 10^-40. */
function fine(text = ''): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (!match) throw new Error(`"${text}" is not a decimal`)
  const [, sign = '', whole = '', fraction = ''] = match
  return BigInt(`${sign}${whole}${fraction.padEnd(40, '0')}`)
}

function fineSum(rows: readonly Row[], column: string): bigint {
  return rows.reduce((sum, row) => sum + fine(row[column]), 0n)
}

/** Sum of `num/den` over one common denominator. */
function rationalSum(texts: readonly (string | undefined)[]): { num: bigint; den: bigint } {
  let [num, den] = [0n, 1n]
  for (const text of texts) {
    const [a = '0', b = '1'] = (text ?? '').split('/')
    num = num * BigInt(b) + BigInt(a) * den
    den *= BigInt(b)
  }
  return { num, den }
}

async function totalOf(ledger: LedgerStore, nowMs: number): Promise<bigint> {
  const query = { fromMs: start, toMs: start + 48 * hour, by: 'namespace', nowMs } as const
  const { totals } = await bill(ledger, query, never)
  return fine(totals[0]?.amount ?? '0')
}

function byFlatDemo(events: readonly UsageEvent[]): UsageEvent[] {
  return events.map((event) => {
    const { fact } = event
    if (fact.kind !== 'INTENT') return event
    return { ...event, fact: { ...fact, terms: { ...fact.terms, priceBook: 'flat-demo' } } }
  })
}

describe('every row of an export', () => {
  test.each(['the seconds of one book', 'the hours of another'])(
    'is price × quantity digit by digit, and all of them are the invoice, by %s',
    async (which) => {
      const hourly = which === 'the hours of another'
      await fc.assert(
        fc.asyncProperty(generatedUsage, async (generated) => {
          const events = generated.flatMap(eventsOf)
          const ledger = await memoryLedgerOf(hourly ? byFlatDemo(events) : events)
          const rows = await exported(ledger, { nowMs: generatedNowMs })
          for (const row of rows.filter(({ ChargeCategory }) => ChargeCategory === 'Usage')) {
            for (const cost of ['ListCost', 'ContractedCost', 'BilledCost', 'EffectiveCost']) {
              expect(fine(row[cost]) * 10n ** 40n).toBe(
                fine(row['ListUnitPrice']) * fine(row['PricingQuantity']),
              )
            }
          }
          // What the bill says, exactly; and what the ledger has before it rounds, exactly.
          expect(fineSum(rows, 'x_InvoicedCost')).toBe(await totalOf(ledger, generatedNowMs))
          const exact = rationalSum(rows.map((row) => row['x_ExactCost']))
          const decimals = fineSum(rows, 'BilledCost')
          const apart = exact.num * 10n ** 40n - decimals * exact.den
          // A quantity is rounded by half of its last place at most, and no price is above one.
          const most = hourly ? BigInt(rows.length) * 10n ** 22n * exact.den : 0n
          expect(apart < 0n ? -apart : apart).toBeLessThanOrEqual(most)
        }),
        { numRuns: 5 },
      )
    },
  )

  test('lies in whole seconds, within an hour and a month, and keeps the exact instants beside them', async () => {
    const rows = await exported(await memoryLedgerOf(shopLedger(start)))
    expect(rows.length).toBeGreaterThan(15)
    for (const row of rows) {
      const [from = '', to = ''] = [row['ChargePeriodStart'], row['ChargePeriodEnd']]
      expect(`${from} ${to}`).toMatch(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ?){2}$/)
      expect(from < to).toBe(true)
      expect(Date.parse(to) - Date.parse(`${from.slice(0, 14)}00:00Z`)).toBeLessThanOrEqual(hour)
      expect((row['BillingPeriodStart'] ?? '') <= from && to <= (row['BillingPeriodEnd'] ?? '')).toBe(true)
      expect(Date.parse(row['x_ExactStart'] ?? '') - Date.parse(from)).toBeLessThan(1000)
      expect(Date.parse(to) - Date.parse(row['x_ExactEnd'] ?? '')).toBeLessThanOrEqual(1000)
    }
  })

  test('names no amount and no date in what a SKU is called', async () => {
    const rows = await exported(await memoryLedgerOf(shopLedger(start)))
    const names = new Set(rows.flatMap(({ SkuId, SkuPriceId }) => [SkuId, SkuPriceId]))
    expect(names).toEqual(
      new Set(['eks-intel-core', 'eks-intel-memory', 'demo-core', 'demo-memory', 'unpriced-gpu', undefined]),
    )
  })
})

test('what has no price is there with its quantity, at no cost', async () => {
  const rows = await exported(await memoryLedgerOf(shopLedger(start)))
  expect(rows.find(({ SkuId }) => SkuId === 'unpriced-gpu')).toMatchObject({
    BilledCost: '0',
    ListUnitPrice: '0',
    PricingQuantity: '600',
    PricingUnit: 'GPU-Seconds',
    ChargeDescription: 'GPU of Pod etl/train for 600 s: the book has no price',
  })
})

test('a correction has neither SKU nor quantity, and is one to FOCUS only where the period was sealed', async () => {
  const about = { namespace: 'frozen', workload: 'Job/report', pod: 'report-x', pool: 'night' }
  const sealed = {
    fromMs: start - 48 * hour,
    toMs: start - 24 * hour,
    causedBy: 'x',
    quantities: noQuantities,
  }
  const money = { reason: 'it came late', amount: '1.5', currency: 'USD' }
  const late = { kind: 'ADJUSTED', reference: '2', ...money, about, corrects: sealed } as const
  const ledger = await memoryLedgerOf([
    ...shopLedger(start),
    testEvent('report-x', { atMs: start + 25 * hour, fact: late, source: 'spillway' }),
  ])
  const found = (await exported(ledger)).filter(({ ChargeCategory }) => ChargeCategory === 'Adjustment')
  const none = { ChargeFrequency: 'One-Time', ListUnitPrice: undefined, PricingQuantity: undefined }
  expect(found).toMatchObject([
    {
      ...none,
      BilledCost: '-0.01',
      ChargeClass: undefined,
      ChargeDescription: 'the node was slow, see ticket 7',
      ChargePeriodStart: '2026-01-02T00:00:00Z',
      ChargePeriodEnd: '2026-01-02T00:00:01Z',
      SkuId: undefined,
      SubAccountId: 'etl',
    },
    {
      ...none,
      BilledCost: '1.5',
      ChargeClass: 'Correction',
      BillingPeriodStart: '2026-01-01T00:00:00Z',
      ChargePeriodStart: '2025-12-30T00:00:00Z',
      ChargePeriodEnd: '2025-12-31T00:00:00Z',
      SubAccountId: 'frozen',
    },
  ])
})

test('a correction of a whole namespace is about no resource', async () => {
  const about = { namespace: 'shop', workload: '', pod: '', pool: '' }
  const money = { reason: 'credit', amount: '-1', currency: 'USD' }
  const fact = { kind: 'ADJUSTED', reference: '1', ...money, about } as const
  const ledger = await memoryLedgerOf([
    ...lifeOf('a', { startMs: start, endMs: start + 5 }),
    testEvent('nobody', { atMs: start, fact, source: 'person' }),
  ])
  expect((await exported(ledger)).at(-1)).toMatchObject({
    BillingAccountId: 'cluster-1',
    SubAccountId: 'shop',
    ResourceId: undefined,
    ResourceName: undefined,
    ResourceType: undefined,
  })
})

test('spot is told by its pricing category', async () => {
  const spec = { cpuMillis: 1000n, memoryMiB: 1024n, gpus: 0n, purchase: 'spot' } as const
  const rows = await exported(
    await memoryLedgerOf(lifeOf('a', { startMs: start, endMs: start + hour, spec })),
  )
  expect(new Set(rows.map(({ PricingCategory }) => PricingCategory))).toEqual(new Set(['Dynamic']))
})

test('what a book bills beyond what ran is priced, and not consumed', async () => {
  const { shippedPriceBooks } = await import('../../../src/billing/shipped-price-books.ts')
  const books = shippedPriceBooks.map((book) => ({ ...book, minimumSeconds: 60 }))
  const ledger = await memoryLedgerOf(lifeOf('a', { startMs: start, endMs: start + 1500 }), books)
  expect((await exported(ledger))[0]).toMatchObject({ PricingQuantity: '60', ConsumedQuantity: '1.5' })
})

test('1.4 has other names for who provides than 1.2; our own columns come last', () => {
  const [older, newer] = [focusColumns('1.2'), focusColumns('1.4')].map((columns) =>
    columns.map(({ name }) => name),
  )
  expect(older?.filter((name) => !newer?.includes(name))).toEqual(['ProviderName', 'PublisherName'])
  expect(newer?.filter((name) => !older?.includes(name))).toEqual(['HostProviderName', 'ServiceProviderName'])
  for (const names of [older ?? [], newer ?? []]) {
    const own = names.findIndex((name) => name.startsWith('x_'))
    expect(names.slice(own).every((name) => /^x_[A-Z]\w+$/.test(name))).toBe(true)
    expect(names.slice(0, own).every((name) => /^[A-Z][A-Za-z]+$/.test(name))).toBe(true)
  }
})

test('null is an empty field, never a word for it', async () => {
  const [row = {}] = await exported(await memoryLedgerOf(shopLedger(start)), { version: '1.4' })
  expect(row).toMatchObject({
    BillingAccountName: undefined,
    InvoiceId: undefined,
    HostProviderName: 'Machines',
  })
  expect(Object.values(row)).not.toContain('')
  expect(Object.values(row)).not.toContain('NULL')
})
