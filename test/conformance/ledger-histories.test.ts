import * as fc from 'fast-check'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportLedger } from '../../src/billing/export-ledger.ts'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { bookOf, historyBooks as books } from '../support/history-books.ts'
import { histories, PodLife, type History } from '../support/ledger-history.ts'
import { disagreements } from '../support/ledger-oracle.ts'
import { askPython, ourBill, pythonIsMissing, theirBill } from '../support/python-oracle.ts'

const never = new AbortController().signal
const runs = Number(process.env['SPILLWAY_LEDGER_HISTORIES'] ?? 200)
const seed = Number(process.env['SPILLWAY_SEED'] ?? 20_261_129)
const nowMs = fakeEpochMs + 100 * 3_600_000

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
    return disagreements(life, intervals, { begun: history.spec, book: bookOf(history) })
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
      expect(theirs.problems).toEqual([])
      expect(theirBill(theirs)).toEqual(ourBill(ours))
    },
  )
})
