import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { databaseKind } from '../../src/billing/store/database-kind.ts'
import type { OpenLedgerOptions } from '../../src/billing/store/open-ledger.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { parseLedgerPlace } from '../../src/config/ledger.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { UsageFact } from '../../src/model/usage.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { openLedger } from '../support/open-ledger.ts'
import { testSealedLedger } from './sealed-ledger.ts'
import { closedFact, intentFact, lifeOf, openedFact, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal
const start = fakeEpochMs
const hour = 3_600_000
const ever = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }

/** A place that stores can be opened on, again and again. */
export interface LedgerPlace {
  /** As on the command line: a file, or a PostgreSQL URL. */
  readonly url: string
  /** As if the writer had not been able to run for a while: stopped, swapped out, cut off. */
  letClaimExpire(): Promise<void>
  remove(): Promise<void>
}

/** What every ledger store has to do. */
export function testLedgerStore(
  name: string,
  makePlace: () => Promise<LedgerPlace>,
  options: Partial<OpenLedgerOptions> = {},
): void {
  describe(`${name} as a ledger store`, () => {
    let place: LedgerPlace
    let ledger: LedgerStore
    beforeEach(async () => {
      place = await makePlace()
      ledger = await openLedger(place.url, options)
    })
    afterEach(async () => {
      await ledger.close()
      await place.remove()
    })
    const reopen = async (): Promise<void> => {
      await ledger.close()
      ledger = await openLedger(place.url, options)
    }

    it('still has after a reopening what it acknowledged', async () => {
      await ledger.append(lifeOf('a', { startMs: start, endMs: start + 5000 }), never)
      const before = await ledger.history(asPodUid('a'), never)
      await reopen()
      expect(await ledger.history(asPodUid('a'), never)).toEqual(before)
      expect(before.intervals).toMatchObject([{ startMs: start, endMs: start + 5000, confidence: 'exact' }])
    })

    it('takes an event once, however often and in whatever company it comes', async () => {
      const events = lifeOf('a', { startMs: start, endMs: start + 5000 })
      const outcomes = await ledger.append([...events, ...events], never)
      expect(outcomes).toEqual([...events.map(() => 'appended'), ...events.map(() => 'duplicate')])
      await reopen()
      expect(new Set(await ledger.append(events, never))).toEqual(new Set(['duplicate']))
      expect(await ledger.events({ afterSeq: 0, limit: 100 }, never)).toHaveLength(events.length)
    })

    it('keeps the first of two accounts of one fact, and says so', async () => {
      const first = testEvent('a', { atMs: start, fact: openedFact('s1') })
      const second = testEvent('a', { atMs: start + 1, fact: openedFact('s1') })
      expect(await ledger.append([first], never)).toEqual(['appended'])
      expect(await ledger.append([second], never)).toEqual(['differs'])
      expect((await ledger.history(asPodUid('a'), never)).intervals[0]?.startMs).toBe(start)
    })

    it('answers each of many appends at once with its own outcomes', async () => {
      const appends = Array.from({ length: 50 }, (_, index) =>
        ledger.append(
          lifeOf(`pod-${index % 40}`, { startMs: start + (index % 40), endMs: start + hour }),
          never,
        ),
      )
      const outcomes = await Promise.all(appends)
      expect(outcomes.flat().filter((outcome) => outcome === 'appended')).toHaveLength(40 * 3)
      expect(outcomes.flat().filter((outcome) => outcome === 'duplicate')).toHaveLength(10 * 3)
    })

    it('numbers events without gaps, each chained to the one before', async () => {
      for (const pod of ['a', 'b', 'c']) await ledger.append(lifeOf(pod, { startMs: start }), never)
      const events = await ledger.events({ afterSeq: 0, limit: 100 }, never)
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
      expect(events.slice(1).map(({ prevHash }) => prevHash)).toEqual(
        events.slice(0, -1).map(({ hash }) => hash),
      )
      expect(await ledger.events({ afterSeq: 2, limit: 2 }, never)).toEqual(events.slice(2, 4))
    })

    it('finds the intervals that meet a period, open ones in every later one', async () => {
      await ledger.append(lifeOf('early', { startMs: start, endMs: start + hour }), never)
      await ledger.append(lifeOf('late', { startMs: start + 2 * hour, endMs: start + 3 * hour }), never)
      await ledger.append(lifeOf('open', { startMs: start + hour / 2 }), never)
      const names = async (fromMs: number, toMs: number): Promise<string[]> =>
        (await ledger.intervals({ fromMs, toMs }, never)).map(({ podUid }) => podUid)
      expect(await names(start, start + hour)).toEqual(['early', 'open'])
      expect(await names(start + 2 * hour, start + 9 * hour)).toEqual(['open', 'late'])
      expect(await names(start - hour, start)).toEqual([])
      expect((await ledger.openIntervals(never)).map(({ podUid }) => podUid)).toEqual(['open'])
    })

    it('orders what began together by the bytes of its names, whatever the country', async () => {
      for (const pod of ['b', 'A', 'a', 'B', 'ä']) await ledger.append(lifeOf(pod, { startMs: start }), never)
      const names = (await ledger.openIntervals(never)).map(({ podUid }) => podUid)
      expect(names).toEqual(['A', 'B', 'a', 'b', 'ä'])
      expect((await ledger.intervals(ever, never)).map(({ podUid }) => podUid)).toEqual(names)
    })

    it('shows whoever reads beside the writer one moment in one call, and the next in the next', async () => {
      const kind = await databaseKind(parseLedgerPlace(place.url))
      const beside = await kind.open({ claimant: undefined, besideWriter: true, environment: {} })
      const told = await beside.snapshot(async () => {
        const before = await beside.ledger.head()
        await ledger.append(lifeOf('a', { startMs: start }), never)
        return [before.seq, (await beside.ledger.head()).seq]
      })
      expect(told).toEqual([0, 0])
      expect(await beside.snapshot(async () => (await beside.ledger.head()).seq)).toBe(2)
      await beside.close()
    })

    it('knows nothing of a Pod that nobody told it of', async () => {
      expect(await ledger.history(asPodUid('nobody'), never)).toMatchObject({
        intended: false,
        intervals: [],
      })
    })

    it('takes a fact that came before what it belongs to', async () => {
      await ledger.append([testEvent('a', { atMs: start + 9, fact: closedFact('exact') })], never)
      expect((await ledger.history(asPodUid('a'), never)).ignored).toMatchObject([{ kind: 'CLOSED' }])
      await ledger.append([testEvent('a', { atMs: start, fact: openedFact('s1') })], never)
      await ledger.append([testEvent('a', { atMs: start, fact: intentFact('a') })], never)
      expect(await ledger.intervals(ever, never)).toMatchObject([
        { startMs: start, endMs: start + 9, pod: { name: 'a' } },
      ])
    })

    it('gives amounts back with every digit', async () => {
      const huge = intentFact('a', { cpuMillis: 2n ** 80n, memoryMiB: 1n, gpus: 3n })
      await ledger.append([testEvent('a', { atMs: start, fact: huge })], never)
      await reopen()
      expect((await ledger.history(asPodUid('a'), never)).terms?.spec).toEqual({
        cpuMillis: 2n ** 80n,
        memoryMiB: 1n,
        gpus: 3n,
      })
    })

    it('keeps price books, and refuses one that changed under its id', async () => {
      await ledger.keepPriceBooks([flatDemo], never)
      await reopen()
      await ledger.keepPriceBooks([flatDemo], never)
      expect(await ledger.priceBooks(never)).toEqual([flatDemo])
      const dearer = { ...flatDemo, currency: 'EUR' }
      await expect(ledger.keepPriceBooks([dearer], never)).rejects.toMatchObject({
        code: 'Rejected',
        message: expect.stringContaining('currency: "USD", now "EUR"'),
      })
      // Nothing is billed by what is said beside.
      await ledger.keepPriceBooks([{ ...flatDemo, notes: ['Put better.'] }], never)
      expect(await ledger.priceBooks(never)).toEqual([flatDemo])
    })

    it('lists adjustments by when they hold', async () => {
      const fact: UsageFact = {
        kind: 'ADJUSTED',
        reference: 'case-1',
        reason: 'node was slow',
        amount: '-0.5',
        currency: 'USD',
      }
      await ledger.append([testEvent('a', { atMs: start, fact, source: 'person' })], never)
      expect(await ledger.adjustments({ fromMs: start, toMs: start + 1 }, never)).toMatchObject([
        { amount: '-0.5', reason: 'node was slow' },
      ])
      expect(await ledger.adjustments({ fromMs: start + 1, toMs: start + 2 }, never)).toEqual([])
    })

    testSealedLedger(() => ledger, reopen)

    it('rejects with LedgerUnavailable once closed', async () => {
      await ledger.close()
      await expect(ledger.append(lifeOf('a', { startMs: start }), never)).rejects.toMatchObject({
        code: 'LedgerUnavailable',
      })
    })

    it('stops waiting when the signal says so', async () => {
      const abort = new AbortController()
      abort.abort(new Error('enough'))
      await expect(ledger.history(asPodUid('a'), abort.signal)).rejects.toThrow('enough')
    })
  })
}
