import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BillFilter, BillGrouping } from '../../src/billing/bill-query.ts'
import { bill, type Bill } from '../../src/billing/invoice.ts'
import { formatNanos, nanoScale, parseDecimal, roundRational } from '../../src/model/money.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { eventsOf, generatedNowMs as nowMs, generatedUsage, trueCostOf } from '../support/generated-usage.ts'
import { memoryLedgerOf } from '../support/memory-ledger-of.ts'

const never = new AbortController().signal

const views: readonly (readonly BillGrouping[])[] = [
  [],
  ['namespace'],
  ['pool'],
  ['day'],
  ['label:team'],
  ['workload'],
  ['pod'],
  ['namespace', 'day'],
  ['day', 'pool', 'label:team', 'label:none'],
  ['pod', 'day', 'pool', 'label:team'],
]

test('whatever a bill is by, its rows add up to the invoice, as other arithmetic has it', async () => {
  await fc.assert(
    fc.asyncProperty(generatedUsage, async (generated) => {
      const ledger = await memoryLedgerOf(generated.flatMap(eventsOf))
      const expected = generated.map(trueCostOf).reduce((total, nanos) => total + nanos, 0n)
      const ask = (by: readonly BillGrouping[], filter: BillFilter = {}): Promise<Bill> =>
        bill(ledger, { fromMs: start, toMs: nowMs, by, nowMs, filter }, never)
      for (const by of views) {
        const { rows, totals } = await ask(by)
        expect(sum(rows)).toBe(expected)
        expect(totals).toEqual(rows.length > 0 ? [{ currency: 'USD', amount: formatNanos(expected) }] : [])
        expect(new Set(rows.map((row) => JSON.stringify(keyOf(row)))).size).toBe(rows.length)
      }
      const parts = await Promise.all(['burst', 'night'].map((pool) => ask(['day'], { pools: [pool] })))
      expect(sum(parts.flatMap(({ rows }) => rows))).toBe(expected)
    }),
    { numRuns: 10 },
  )
}, 30_000)

function keyOf({
  day,
  pool,
  namespace,
  labels,
  workload,
  podUid,
  correction,
}: Bill['rows'][number]): unknown {
  return [day, pool, namespace, labels, workload, podUid, correction !== undefined]
}

function sum(rows: Bill['rows']): bigint {
  return rows.reduce(
    (total, { amount }) => total + roundRational(parseDecimal(amount), nanoScale, 'half_even'),
    0n,
  )
}
