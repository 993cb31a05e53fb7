import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { priceTags, type PriceTags } from '../../src/billing/price-tags.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { closedFact, intentFact, lifeOf, openedFact, terms, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const hour = 3_600_000

describe('the price of a Pod', () => {
  let folder: string
  let ledger: LedgerStore
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-tags-'))
    ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
  })
  afterEach(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })
  const tags = async (uid: string, nowMs: number, isOver = false): Promise<PriceTags | undefined> => {
    const books = new Map(shippedPriceBooks.map((book) => [book.id, book]))
    return priceTags(await ledger.history(asPodUid(uid), never), books, { nowMs, isOver })
  }

  it('is known as soon as it is let in', async () => {
    await ledger.append([testEvent('new', { atMs: start, fact: intentFact('new') })], never)
    expect(await tags('new', start)).toEqual({
      spec: '1 core, 2 GiB',
      // 0.000004976 and twice 0.000002073 a second, by Tencent's book.
      pricePerHour: '0.0328392 USD',
      cost: undefined,
    })
    expect(await tags('nobody', start)).toBeUndefined()
  })

  it('is that of the size that it has been given since', async () => {
    const bigger = terms({ cpuMillis: 2000n, memoryMiB: 4096n, gpus: 0n })
    await ledger.append(
      [
        testEvent('big', { atMs: start, fact: intentFact('big') }),
        testEvent('big', { atMs: start, fact: openedFact('s0') }),
        testEvent('big', { atMs: start + 5, fact: { kind: 'RESIZING', generation: 2, terms: bigger } }),
        testEvent('big', { atMs: start + 9, fact: { kind: 'RESIZED', generation: 2 } }),
      ],
      never,
    )
    expect(await tags('big', start + 10)).toMatchObject({
      spec: '2 cores, 4 GiB',
      pricePerHour: '0.0656784 USD',
    })
  })

  it('ends as the sum that is on the bill, of all its sandboxes, and not before it is over', async () => {
    await ledger.append(lifeOf('twice', { startMs: start + 1234, endMs: start + 2 * hour + 77 }), never)
    const again = { incarnation: 1 } as const
    await ledger.append(
      [
        testEvent('twice', { ...again, atMs: start + 3 * hour + 3, fact: openedFact('s1') }),
        testEvent('twice', { ...again, atMs: start + 3 * hour + 4567, fact: closedFact('exact') }),
      ],
      never,
    )
    const nowMs = start + 5 * hour
    const { totals } = await bill(ledger, { fromMs: start, toMs: start + 24 * hour, by: 'pod', nowMs }, never)
    expect((await tags('twice', nowMs, true))?.cost).toBe(`${totals[0]?.amount} USD`)
    expect((await tags('twice', nowMs, false))?.cost).toBeUndefined()
    await ledger.append(lifeOf('runs', { startMs: start }), never)
    expect((await tags('runs', nowMs, true))?.cost).toBeUndefined()
  })
})
