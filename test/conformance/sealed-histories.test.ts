import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { floorHour, hourMs } from '../../src/billing/charges.ts'
import { exportLedger } from '../../src/billing/export-ledger.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { encodeJson } from '../../src/billing/ledger-json.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { bookOf, historyBooks } from '../support/history-books.ts'
import { histories, PodLife, type History } from '../support/ledger-history.ts'
import { disagreements, trueCost } from '../support/ledger-oracle.ts'
import { openMemoryLedger } from '../support/memory-ledger.ts'
import {
  askPythonOfEach,
  ourBill,
  pythonIsMissing,
  theirBill,
  type ComparableBill,
} from '../support/python-oracle.ts'
import { deliver, SealedBills, type Delivery } from '../support/sealed-bills.ts'

const never = new AbortController().signal
const runs = Number(process.env['SPILLWAY_LEDGER_HISTORIES'] ?? 60)
const seed = Number(process.env['SPILLWAY_SEED'] ?? 20_261_129)
const nowMs = fakeEpochMs + 100 * hourMs
/** So many at once are asked of the other program, which takes a while to begin. */
const runsAtOnce = 500

interface SealedHistory {
  readonly history: History
  readonly delivery: Delivery
}

const sealedHistories: fc.Arbitrary<SealedHistory> = fc.record({
  history: histories(historyBooks, { seals: true }),
  delivery: fc.record({
    order: fc.array(fc.nat(99), { minLength: 1, maxLength: 40 }),
    batch: fc.integer({ min: 1, max: 6 }),
    seals: fc.array(
      fc.record({
        afterPart: fc.nat(10).map((tenths) => tenths / 10),
        toMs: fc.integer({ min: 0, max: 5 }).map((hours) => floorHour(fakeEpochMs) + hours * hourMs),
      }),
      { maxLength: 3 },
    ),
  }),
})

interface Sealed {
  readonly exported: string
  readonly ours: ComparableBill
}

async function sealedOf(ledger: LedgerStore): Promise<Sealed> {
  let exported = ''
  for await (const part of exportLedger(ledger, never)) exported += part
  const asked = { fromMs: 0, toMs: nowMs, by: 'pod', nowMs, explain: true } as const
  return { exported, ours: ourBill(await bill(ledger, asked, never)) }
}

async function newSealedBills(): Promise<SealedBills> {
  const ledger = await openMemoryLedger()
  await ledger.keepPriceBooks(historyBooks, never)
  return new SealedBills(ledger)
}

/** A life with seals under way; then the events that it made, told to another ledger, late, in another order, twice. */
async function play({ history, delivery }: SealedHistory): Promise<[string[], Sealed[]]> {
  const [live, late] = await Promise.all([newSealedBills(), newSealedBills()])
  const { ledger } = live
  const uid = asPodUid('pod')
  const life = new PodLife(uid, 'web-0', {
    ledger,
    books: historyBooks,
    history,
    seal: (toMs) => live.seal(toMs),
  })
  await life.live()
  const { intervals } = await ledger.history(uid, never)
  const truth = { begun: history.spec, book: bookOf(history) }
  const ran = trueCost(life, intervals, truth)
  const problems = [...disagreements(life, intervals, truth), ...(await live.problems(nowMs, ran))]
  await deliver(late, live.told, delivery)
  problems.push(...(await late.problems(nowMs, ran)))
  if (encodeJson((await late.ledger.history(uid, never)).intervals) !== encodeJson(intervals))
    problems.push('in another order it comes to other intervals')
  const sealed = await Promise.all([sealedOf(ledger), sealedOf(late.ledger)])
  await Promise.all([ledger.close(), late.ledger.close()])
  return [problems, sealed]
}

describe('sealed periods, beside what really was', () => {
  const timeout = 60_000 + runs * 500

  it(`agree to 0 in ${runs} histories, seed ${seed}, by two oracles`, { timeout }, async () => {
    const missing = pythonIsMissing()
    for (let first = 0; first < runs; first += runsAtOnce) {
      const sealed: Sealed[] = []
      await fc.assert(
        fc.asyncProperty(sealedHistories, async (history) => {
          const [problems, both] = await play(history)
          expect(problems).toEqual([])
          sealed.push(...both)
        }),
        {
          numRuns: Math.min(runsAtOnce, runs - first),
          seed: seed + first,
          endOnFailure: process.env['SPILLWAY_NO_SHRINK'] !== undefined,
        },
      )
      if (missing) continue
      const bills = await askPythonOfEach(
        sealed.map(({ exported }) => [exported]),
        { nowMs },
      )
      for (const [index, theirs] of bills.entries()) {
        expect(theirs.problems).toEqual([])
        expect(theirBill(theirs)).toEqual(sealed[index]?.ours)
        expect(theirs.totals).toEqual(theirs.unsealed)
      }
    }
  })
})
