import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { hasCode, type SpillwayError } from '../../src/model/errors.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { openLedger } from '../support/open-ledger.ts'
import { lifeOf } from '../support/usage-events.ts'
import type { LedgerPlace } from './ledger-store.ts'

const never = new AbortController().signal
const page = { afterSeq: 0, limit: 100_000 }
const life = (pod: string) => lifeOf(pod, { startMs: fakeEpochMs, endMs: fakeEpochMs + 1000 })
const takenOver = { status: 'rejected', reason: { code: 'LedgerTakenOver', retry: false } }
const held = { code: 'LedgerUnavailable', message: expect.stringContaining('another Spillway') }

/** What every ledger store owes to several who open it: one writer at a time, and any number of readers. */
export function testLedgerWriters(name: string, makePlace: () => Promise<LedgerPlace>): void {
  describe(`${name} with several who open it`, { timeout: 60_000 }, () => {
    let place: LedgerPlace
    let opened: LedgerStore[]
    beforeEach(async () => {
      place = await makePlace()
      opened = []
    })
    afterEach(async () => {
      for (const ledger of opened) await ledger.close()
      await place.remove()
    })
    const open: typeof openLedger = async (url, options) => {
      const ledger = await openLedger(url, options)
      opened.push(ledger)
      return ledger
    }
    /** The holder renews its claim in between, now and then. */
    const takeOver = async (): Promise<LedgerStore> => {
      for (;;) {
        await place.letClaimExpire()
        try {
          return await open(place.url)
        } catch (error) {
          if (!hasCode(error, 'LedgerUnavailable')) throw error
        }
      }
    }
    const podsIn = async (ledger: LedgerStore): Promise<string[]> => [
      ...new Set((await ledger.events(page, never)).map(({ event }) => event.podUid)),
    ]

    it('has one writer at a time, and the next once that has closed', async () => {
      const first = await open(place.url)
      await expect(open(place.url)).rejects.toMatchObject(held)
      await first.close()
      const second = await open(place.url)
      expect(await second.append(life('a'), never)).toHaveLength(3)
    })

    it('makes one ledger of many who start at once, and lets one of them write it', async () => {
      const starts = await Promise.allSettled([1, 2, 3, 4].map(() => open(place.url)))
      const refused = starts.filter((start) => start.status === 'rejected')
      expect(refused.map(({ reason }) => reason as unknown)).toEqual(
        [1, 2, 3].map(() => expect.objectContaining(held)),
      )
      await opened[0]?.append(life('a'), never)
      await opened[0]?.close()
      const next = await open(place.url)
      expect(await podsIn(next)).toEqual(['a'])
    })

    it('refuses a writer whose claim was taken over, for ever, and tells it once', async () => {
      const told: SpillwayError[] = []
      const first = await open(place.url, { onTakenOver: (error) => told.push(error) })
      await first.append(life('a'), never)
      const second = await takeOver()
      await second.keepPriceBooks(shippedPriceBooks, never)
      await second.append(life('b'), never)
      const attempts = await Promise.allSettled(['c', 'd'].map((pod) => first.append(life(pod), never)))
      expect(attempts).toMatchObject([takenOver, takenOver])
      await expect(first.keepPriceBooks([flatDemo], never)).rejects.toMatchObject({ code: 'LedgerTakenOver' })
      expect(told).toMatchObject([{ code: 'LedgerTakenOver', message: expect.stringContaining('process') }])
      await second.append(life('e'), never)
      expect(await podsIn(second)).toEqual(['a', 'b', 'e'])
      expect((await verifyLedger(second, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    })

    it('refuses a process that was stopped while another took over, as soon as it goes on', async () => {
      await using writer = startWriter(place.url)
      expect(await writer.answer()).toBe('open')
      writer.append('before')
      expect(await writer.answer()).toBe('appended')
      writer.child.kill('SIGSTOP')
      const ledger = await takeOver()
      await ledger.append(life('a'), never)
      writer.append('after')
      writer.child.kill('SIGCONT')
      expect(await writer.answer()).toBe('LedgerTakenOver')
      expect(await podsIn(ledger)).toEqual(['before', 'a'])
    })

    it('lets the next one write at once when its writer was killed, and has all that was acknowledged', async () => {
      const acknowledged = new Set<string>()
      // Each round goes on where the last one was killed, and repeats what was under way: as a restart does.
      for (const killAfter of [1, 40, 150]) {
        for (const id of await appendUntilKilled(place.url, killAfter)) acknowledged.add(id)
      }
      const ledger = await open(place.url)
      const ids = (await ledger.events(page, never)).map(({ event }) => event.id)
      expect(new Set(ids).size).toBe(ids.length)
      expect([...acknowledged].filter((id) => !ids.includes(id))).toEqual([])
      expect(acknowledged.size).toBeGreaterThanOrEqual(150)
      expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    })

    it('can be read beside its writer, and not written by a reader', async () => {
      const writer = await open(place.url)
      const reader = await open(place.url, { readOnly: true })
      await writer.append(life('a'), never)
      expect(await podsIn(reader)).toEqual(['a'])
      await expect(reader.append(life('b'), never)).rejects.toMatchObject({ code: 'LedgerUnavailable' })
      await reader.close()
      await writer.append(life('c'), never)
      expect(await podsIn(writer)).toEqual(['a', 'c'])
    })

    it('is one cluster’s', async () => {
      await (await open(place.url, { clusterUid: 'cluster-1' })).close()
      await expect(open(place.url, { clusterUid: 'cluster-2' })).rejects.toMatchObject({
        code: 'Rejected',
        message: expect.stringContaining('belongs to the cluster with UID cluster-1'),
      })
      await (await open(place.url, { clusterUid: 'cluster-1' })).close()
    })

    it('belongs to the cluster whose events it has', async () => {
      const first = await open(place.url)
      await first.append(life('a'), never)
      await first.close()
      await expect(open(place.url, { clusterUid: 'cluster-2' })).rejects.toMatchObject({ code: 'Rejected' })
    })
  })
}

const support = join(import.meta.dirname, '../support')

function startWriter(url: string) {
  const child = spawn('node', [join(support, 'ledger-writer.ts'), url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    append: (pod: string) => void child.stdin.write(`${pod}\n`),
    answer: async (): Promise<string> => String((await lines.next()).value),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      // SIGTERM would wait for one that is stopped.
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Runs a writer, and kills it with SIGKILL once it has told of so many durable events. Answers their ids. */
async function appendUntilKilled(url: string, killAfter: number): Promise<Set<string>> {
  const child = spawn('node', [join(support, 'append-events.ts'), url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const ids = new Set<string>()
  for await (const line of createInterface({ input: child.stdout })) {
    ids.add(line)
    if (ids.size === killAfter) child.kill('SIGKILL')
  }
  const [, signal] = (await exited) as [number | null, string | null]
  expect(signal).toBe('SIGKILL')
  return ids
}
