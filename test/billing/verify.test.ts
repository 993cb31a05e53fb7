import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger, type LedgerReport } from '../../src/billing/verify.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { closedFact, lifeOf, openedFact, testEvent } from '../support/usage-events.ts'

const never = new AbortController().signal

describe('ledger verify', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-verify-'))
    file = join(folder, 'ledger.db')
    const ledger = await openSqliteLedger({ file })
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    for (const pod of ['a', 'b', 'c']) {
      await ledger.append(lifeOf(pod, { startMs: start, endMs: start + 9_000_000 }), never)
    }
    await ledger.append([testEvent('a', { atMs: start, fact: closedFact('estimated') })], never)
    await ledger.close()
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })
  const verify = async (): Promise<LedgerReport> => {
    const ledger = await openSqliteLedger({ file, readOnly: true })
    const report = await verifyLedger(ledger, { nowMs: start }, never)
    await ledger.close()
    return report
  }
  it('finds nothing wrong with a sandbox that begins only after now, by a clock that was set back', async () => {
    const ledger = await openSqliteLedger({ file })
    const minute = { ...flatDemo, id: 'minute', minimumSeconds: 60 }
    await ledger.keepPriceBooks([minute], never)
    await ledger.append(lifeOf('d', { startMs: start + 1, priceBook: 'minute' }), never)
    await ledger.close()
    expect((await verify()).problems).toEqual([])
  })

  /** As somebody with an editor could: past the triggers. */
  const tamper = (statement: string): void => {
    const database = new DatabaseSync(file)
    database.exec(`drop trigger event_no_update; drop trigger event_no_delete; ${statement}`)
    database.close()
  }

  it('finds nothing wrong with a ledger that nobody touched, and lists what it ignored', async () => {
    expect(await verify()).toMatchObject({
      events: 10,
      pods: 3,
      intervals: 3,
      problems: [],
      ignored: [{ kind: 'CLOSED', why: 'the end is better known' }],
    })
  })

  it.each([
    ['a time', 'update event set at_ms = at_ms - 1 where seq = 3', 'event 3 (CLOSED of Pod a) was changed'],
    [
      'a body',
      'update event set body = replace(body, \'"1000"\', \'"0"\') where seq = 4',
      'event 4 (INTENT of Pod b) was changed',
    ],
    ['a missing event', 'delete from event where seq = 5', 'event 5 is missing'],
    ['a link', "update event set prev_hash = 'x' where seq = 6", 'event 6 does not follow event 5'],
  ])('notices %s', async (_what, statement, message) => {
    tamper(statement)
    expect((await verify()).problems).toContainEqual({
      claim: 'events are numbered without gaps and chained by hash',
      message,
    })
  })

  it('notices intervals that do not follow from the events', async () => {
    tamper("update account set body = replace(body, 'default', 'other') where pod_uid = 'b'")
    expect((await verify()).problems).toEqual([
      { claim: 'replaying the log gives the same intervals', message: 'Pod b, sandbox 0 differs' },
    ])
  })

  it.each([
    [
      'a kept sum',
      "update day_total set nanos = '1'",
      'replaying the log gives the same sums and adjustments',
    ],
    [
      'a kept sum that bills use',
      "update day_total set nanos = '1'",
      'the lines add up to the totals of bills',
    ],
    [
      'a seal',
      "drop trigger seal_no_update; update seal set body = replace(body, 'USD', 'EUR')",
      'sealed periods are as they were sealed',
    ],
    [
      'a bill that is not as it was sealed',
      "update account set body = replace(body, '2048', '1024') where pod_uid = 'a'",
      'sealed periods are as they were sealed',
    ],
  ])(
    'notices %s',
    async (_what, statement, claim) => {
      const ledger = await openSqliteLedger({ file })
      const toMs = start + 3_600_000
      await sealPeriod(ledger, { fromMs: start - 3_600_000, toMs, nowMs: toMs, acceptUncertain: true }, never)
      await ledger.close()
      tamper(statement)
      expect((await verify()).problems.map((problem) => problem.claim)).toContain(claim)
    },
    20_000,
  )

  it('notices a heartbeat that ends a sandbox and is not in the log', async () => {
    const ledger = await openSqliteLedger({ file })
    await ledger.append(lifeOf('d', { startMs: start }), never)
    const seen = { atMs: start + 60_000, fact: { kind: 'OBSERVED', bucket: 1 } } as const
    const next = { atMs: start + 90_000, incarnation: 1, fact: openedFact('s1') }
    await ledger.append([testEvent('d', seen), testEvent('d', next)], never)
    await ledger.close()
    expect((await verify()).problems).toEqual([])
    tamper("update heartbeat set at_ms = at_ms + 1000 where pod_uid = 'd'")
    expect((await verify()).problems).toEqual([
      {
        claim: 'a heartbeat that ends an interval is in the log',
        message: 'Pod d, sandbox 0 was seen at 2026-01-01T00:01:01.000Z, which the log does not have',
      },
    ])
  })

  it('notices sandboxes of one Pod at the same time', async () => {
    const ledger = await openSqliteLedger({ file })
    await ledger.append([testEvent('c', { atMs: start - 5, incarnation: 1, fact: openedFact('s1') })], never)
    await ledger.close()
    expect((await verify()).problems).toEqual([
      {
        claim: 'intervals of a Pod never overlap, and end after they start',
        message: 'Pod c, sandboxes 0 and 1 overlap',
      },
    ])
  })

  /** What is on the disk is another than what was written, past all of SQLite. */
  const flip = async (text: string, offset: number): Promise<void> => {
    const bytes = await readFile(file)
    let at = bytes.indexOf(text)
    expect(at).toBeGreaterThan(0)
    // Also where SQLite keeps what it has moved elsewhere: which copy is the live one, is its own affair.
    for (; at >= 0; at = bytes.indexOf(text, at + 1)) bytes[at + offset] = (bytes[at + offset] ?? 0) ^ 1
    await writeFile(file, bytes)
  }

  it('notices a bit that the disk has turned in an event', async () => {
    await flip('"node":"burst-0"', 9)
    expect((await verify()).problems.map(({ claim }) => claim)).toContain(
      'events are numbered without gaps and chained by hash',
    )
  })

  it(
    'says so of what can no longer be read, and writes nothing on top of it',
    { timeout: 30_000 },
    async () => {
      await flip('"kind":"CLOSED"', 0)
      await expect(verify()).rejects.toMatchObject({ code: 'LedgerCorrupt' })
      const ledger = await openSqliteLedger({ file })
      const more = testEvent('a', { atMs: start, fact: closedFact('recorded') })
      await expect(ledger.append([more], never)).rejects.toMatchObject({ code: 'LedgerCorrupt' })
      await ledger.close()
    },
  )

  it('never takes a page that the disk has destroyed for a ledger', { timeout: 30_000 }, async () => {
    const bytes = await readFile(file)
    // Every page after the first, which has the schema: its kind is in its first byte.
    for (let page = 1; page * 4096 < bytes.length; page += 1) bytes[page * 4096] = 0x77
    await writeFile(file, bytes)
    await expect(verify()).rejects.toMatchObject({ code: 'LedgerCorrupt' })
    const ledger = await openSqliteLedger({ file }).catch((error: unknown) => error)
    if (!(ledger instanceof Error)) {
      const open = ledger as Awaited<ReturnType<typeof openSqliteLedger>>
      await expect(open.append(lifeOf('d', { startMs: start }), never)).rejects.toMatchObject({
        code: 'LedgerCorrupt',
      })
      await open.close()
    } else expect(ledger).toMatchObject({ code: 'LedgerCorrupt' })
  })
})
