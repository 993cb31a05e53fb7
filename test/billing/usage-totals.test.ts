import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hourMs, type Period } from '../../src/billing/charges.ts'
import { dayMs, floorDay } from '../../src/billing/day-charges.ts'
import { chargeIntervals } from '../../src/billing/bill-entries.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import type { TotalDimension, UsageTotal } from '../../src/billing/usage-totals.ts'
import { lateBooks, octoberMs, someEvents } from '../support/late-histories.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'

const never = new AbortController().signal
const nowMs = octoberMs + 7 * dayMs

const aPeriod = fc
  .tuple(
    fc.integer({ min: -3, max: 8 * 24 }),
    fc.oneof(
      fc.nat(9 * 24),
      fc.nat(9).map((days) => days * 24),
    ),
  )
  .chain(([from, hours]) =>
    fc.constantFrom(from, floorDay(from * hourMs) / hourMs).map((first) => [first, hours] as const),
  )
  .map(([from, hours]) => ({ fromMs: octoberMs + from * hourMs, toMs: octoberMs + (from + hours) * hourMs }))

type Sum = Pick<UsageTotal, 'namespace' | 'pool' | 'dayMs' | 'currency' | 'pods' | 'nanos'> & {
  readonly cpuMilliMs: bigint
}

/** The long way: every line of every Pod. */
async function byLines(ledger: LedgerStore, period: Period, by: readonly TotalDimension[]): Promise<Sum[]> {
  const sums = new Map<string, { sum: Sum; pods: Set<string> }>()
  const charged = chargeIntervals(await ledger.intervals(period, never), lateBooks, { nowMs, period })
  for (const { interval, book, lines } of charged) {
    for (const line of lines) {
      const place = {
        namespace: by.includes('namespace') ? (interval.pod?.namespace ?? '') : '',
        pool: by.includes('pool') ? (interval.pod?.pool ?? '') : '',
        dayMs: by.includes('day') ? floorDay(line.hourMs) : 0,
        currency: book?.currency ?? '',
      }
      const key = JSON.stringify(place)
      const known = sums.get(key) ?? {
        sum: { ...place, pods: 0, nanos: 0n, cpuMilliMs: 0n },
        pods: new Set(),
      }
      const { nanos, cpuMilliMs } = known.sum
      const pods = known.pods.add(interval.podUid)
      const used = line.resource === 'cpu' ? line.quantity : 0n
      sums.set(key, {
        pods,
        sum: { ...known.sum, pods: pods.size, nanos: nanos + line.nanos, cpuMilliMs: cpuMilliMs + used },
      })
    }
  }
  return [...sums.values()].map(({ sum }) => sum).sort(byPlace)
}

async function byTotals(ledger: LedgerStore, period: Period, by: readonly TotalDimension[]): Promise<Sum[]> {
  const totals = await ledger.totals({ period, by, nowMs }, never)
  return totals
    .filter(({ currency }) => currency !== '')
    .map(({ namespace, pool, dayMs: day, currency, pods, nanos, quantities }) => ({
      namespace,
      pool,
      dayMs: day,
      currency,
      pods,
      nanos,
      cpuMilliMs: quantities.cpuMilliMs,
    }))
    .sort(byPlace)
}

function byPlace(a: Sum, b: Sum): number {
  const [one, other] = [a, b].map(({ namespace, pool, dayMs: day, currency }) =>
    [day, namespace, pool, currency].join(),
  )
  return (one ?? '') < (other ?? '') ? -1 : 1
}

describe('the kept totals', () => {
  it('are to the nano-unit and the Pod what all lines come to, by whatever they are asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        someEvents,
        fc.integer({ min: 1, max: 9 }),
        aPeriod,
        fc.subarray<TotalDimension>(['namespace', 'pool', 'day']),
        async (events, batch, period, by) => {
          const ledger = await openMemoryLedger()
          await ledger.keepPriceBooks(lateBooks, never)
          for (let at = 0; at < events.length; at += batch)
            await ledger.append(events.slice(at, at + batch), never)
          expect(await byTotals(ledger, period, by)).toEqual(await byLines(ledger, period, by))
          const kept = await ledger.keptTotals(never)
          await ledger.rebuild(never)
          expect(new Set(await ledger.keptTotals(never))).toEqual(new Set(kept))
          await ledger.close()
        },
      ),
      { numRuns: Number(process.env['SPILLWAY_PROPERTY_RUNS'] ?? 60) },
    )
  }, 60_000)
})
