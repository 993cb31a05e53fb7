import * as fc from 'fast-check'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportLedger } from '../../src/billing/export-ledger.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { histories, PodLife, type History } from '../support/ledger-history.ts'
import { disagreements } from '../support/ledger-oracle.ts'
import { askPython, pythonIsMissing } from '../support/python-oracle.ts'

const never = new AbortController().signal
const runs = Number(process.env['SPILLWAY_LEDGER_HISTORIES'] ?? 300)
const seed = Number(process.env['SPILLWAY_SEED'] ?? 20_261_129)
const hour = 3_600_000
const nowMs = fakeEpochMs + 100 * hour

function at(ms: number): string {
  return new Date(fakeEpochMs + hour + ms).toISOString()
}

/** Prices that begin and end around the time at which the histories play. */
const changing: PriceBook = {
  ...flatDemo,
  id: 'changing',
  prices: [
    { sku: 'core', unit: 'Core-Hours', price: '0.0437', validTo: at(-123_456) },
    { sku: 'core', unit: 'Core-Hours', price: '0.05', validFrom: at(-123_456), validTo: at(777_777) },
    { sku: 'dear-core', unit: 'Core-Seconds', price: '0.000021', validFrom: at(900_001) },
    { sku: 'memory', unit: 'GiB-Seconds', price: '0.000002073', validTo: at(0) },
    { sku: 'memory', unit: 'GiB-Hours', price: '0.0071', validFrom: at(0) },
    { sku: 'gpu', unit: 'GPU-Seconds', price: '0.000555555' },
  ],
}
/** A minimum, started seconds whole, and the other way to round. */
const coarse: PriceBook = {
  ...flatDemo,
  id: 'coarse',
  minimumSeconds: 60,
  secondRounding: 'up',
  lineRounding: { scale: 5, mode: 'half_up', dropBelow: '0.00002' },
}
const books = [flatDemo, changing, coarse]

describe('the ledger, beside what really was', () => {
  let folder: string
  let ledger: LedgerStore
  let lives = 0
  beforeAll(async () => {
    // In memory where that can be had: how durable a write is, other tests ask.
    const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
    folder = await mkdtemp(join(place, 'spillway-histories-'))
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    await ledger.keepPriceBooks(books, never)
  })
  afterAll(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })

  /** All Pods have one name, one after the other. */
  async function play(history: History): Promise<string[]> {
    const uid = `pod-${lives++}`
    const life = new PodLife(uid, 'web-0', { ledger, books, history })
    await life.live()
    const { intervals } = await ledger.history(asPodUid(uid), never)
    const book = books.find(({ id }) => id === history.book) ?? flatDemo
    return disagreements(life, intervals, { begun: history.spec, book })
  }

  it(`agrees to 0 in ${runs} histories, seed ${seed}`, { timeout: 60_000 + runs * 500 }, async () => {
    await fc.assert(
      fc.asyncProperty(histories(books), async (history) => {
        expect(await play(history)).toEqual([])
      }),
      { numRuns: runs, seed, endOnFailure: process.env['SPILLWAY_NO_SHRINK'] !== undefined },
    )
  })

  it('still proves itself after all that', { timeout: 60_000 + runs * 100 }, async () => {
    expect((await verifyLedger(ledger, { nowMs }, never)).problems).toEqual([])
  })

  it(
    'comes to what another program makes of the export',
    { timeout: 60_000 + runs * 100 },
    async (context) => {
      const missing = pythonIsMissing()
      if (missing) context.skip(missing)
      const theirs = await askPython(exportLedger(ledger, never), { nowMs })
      const ours = await bill(ledger, { fromMs: 0, toMs: nowMs, by: 'pod', nowMs, explain: true }, never)
      const lines = (ours.pods ?? []).flatMap(({ podUid, incarnation, lines: own }) =>
        own.map(({ hour: start, sku, resource, exact }) =>
          [podUid, incarnation, sku ?? null, resource, Date.parse(start), exact].join(' '),
        ),
      )
      expect(theirs.problems).toEqual([])
      expect(
        theirs.lines
          .map(({ podUid, incarnation, sku, resource, hourMs, exact }) =>
            [podUid, incarnation, sku, resource, hourMs, exact].join(' '),
          )
          .sort(),
      ).toEqual(lines.sort())
      expect(theirs.totals).toEqual(
        Object.fromEntries(ours.totals.map(({ currency, amount }) => [currency, nanosOf(amount)])),
      )
    },
  )
})

/** `0.5` is `500000000`. */
function nanosOf(amount: string): string {
  const [whole = '', fraction = ''] = amount.split('.')
  return String(BigInt(`${whole}${fraction.padEnd(9, '0')}`))
}
