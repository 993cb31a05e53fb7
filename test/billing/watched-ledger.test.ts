import { beforeEach, expect, it } from 'vitest'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { LedgerHealth } from '../../src/billing/ledger-health.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { WatchedLedger } from '../../src/billing/watched-ledger.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs as start } from '../support/fake-clock.ts'
import { memoryLedgerOf } from '../support/memory-ledger-of.ts'
import { lifeOf } from '../support/usage-events.ts'

const never = new AbortController().signal
const corrupt = new SpillwayError('LedgerCorrupt', 'page 7 is torn')
const full = new SpillwayError('LedgerUnavailable', 'the disk is full')
let clock: FakeClock
let health: LedgerHealth
let store: LedgerStore
let ledger: WatchedLedger
let failure: SpillwayError | undefined

beforeEach(async () => {
  clock = new FakeClock()
  failure = undefined
  health = new LedgerHealth({ clock, log: silentLog() })
  const memory = await memoryLedgerOf(lifeOf('a', { startMs: start }))
  store = new Proxy(memory, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown
      return (...args: unknown[]) => (failure ? Promise.reject(failure) : Reflect.apply(method, target, args))
    },
  })
  ledger = new WatchedLedger(store, health)
})

it('answers as the ledger does', async () => {
  expect(await ledger.append(lifeOf('b', { startMs: start }), never)).toEqual(['appended', 'appended'])
  expect((await ledger.history(asPodUid('b'), never)).intervals).toHaveLength(1)
  expect(await ledger.openIntervals(never)).toHaveLength(2)
  expect((await ledger.head(never)).seq).toBe(4)
  expect(await ledger.priceBooks(never)).toHaveLength(shippedPriceBooks.length)
})

it.each([
  ['reading', () => ledger.openIntervals(never)],
  ['writing', () => ledger.append(lifeOf('b', { startMs: start }), never)],
])('takes note of damage that %s meets', async (_what, call) => {
  failure = corrupt
  await expect(call()).rejects.toBe(corrupt)
  expect(health.isDamaged).toBe(true)
})

it('gives a damaged ledger nothing more to keep, and reads on', async () => {
  health.failed(corrupt, { isWrite: false })
  const refused = { code: 'LedgerCorrupt', message: 'page 7 is torn; nothing is written to it' }
  await expect(ledger.append(lifeOf('b', { startMs: start }), never)).rejects.toMatchObject(refused)
  await expect(ledger.keepPriceBooks(shippedPriceBooks, never)).rejects.toMatchObject(refused)
  expect((await store.head(never)).seq).toBe(2)
  expect(await ledger.openIntervals(never)).toHaveLength(1)
})

it('is well again with an event that is new on the disk, and not with one that was known', async () => {
  failure = full
  await expect(ledger.append(lifeOf('b', { startMs: start }), never)).rejects.toBe(full)
  await clock.advance(5_000)
  expect(health.finding.reason).toBe('LedgerUnavailable')
  failure = undefined
  await ledger.append(lifeOf('a', { startMs: start }), never)
  expect(health.finding.reason).toBe('LedgerUnavailable')
  await ledger.append(lifeOf('b', { startMs: start }), never)
  expect(health.finding.reason).toBe('NotCheckedYet')
})
