import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hourMs } from '../../../src/billing/charges.ts'
import { bill } from '../../../src/billing/invoice.ts'
import type { LedgerStore } from '../../../src/billing/ledger.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../../src/billing/verify.ts'
import type { UsageEvent } from '../../../src/model/usage.ts'
import { octoberMs } from '../../support/late-histories.ts'
import { testEvent } from '../../support/usage-events.ts'

const never = new AbortController().signal
const fromMs = Date.UTC(2026, 9, 31, 22)
const nowMs = fromMs + 7_200_000

/** golden/ledger-version-1.sql was written by the program that had that version, and is never made anew. */
describe('a ledger of schema version 1', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-ledger-'))
    file = join(folder, 'ledger.db')
    const database = new DatabaseSync(file)
    database.exec(await readFile(join(import.meta.dirname, 'golden/ledger-version-1.sql'), 'utf8'))
    database.close()
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  it('is brought up to date in place by whoever writes it next, and bills the same', async () => {
    const ledger = await openSqliteLedger({ file })
    const billed = await bill(ledger, { fromMs, toMs: nowMs, by: 'pod', nowMs }, never)
    // As that program printed it, but for the correction of Pod a, which has a row of its own now: 0.039259922 in one then.
    expect(billed.rows.map(({ pod, amount, open, estimated }) => ({ pod, amount, open, estimated }))).toEqual(
      [
        { pod: 'b', amount: '0.260241538', open: true, estimated: false },
        { pod: 'a', amount: '0.049259922', open: false, estimated: false },
        { pod: 'c', amount: '0.000018244', open: false, estimated: true },
        { pod: 'a', amount: '-0.01', open: false, estimated: false },
      ],
    )
    expect(await verifyLedger(ledger, { nowMs }, never)).toMatchObject({ events: 12, problems: [] })
    await ledger.close()
    await (await openSqliteLedger({ file, readOnly: true })).close()
  })

  it('is not touched by a reader, who is told what to do', async () => {
    await expect(openSqliteLedger({ file, readOnly: true })).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('`spillway run`'),
    })
    const database = new DatabaseSync(file)
    expect(database.prepare('select max(version) as version from schema_version').get()).toEqual({
      version: 1,
    })
    database.close()
  })
})

/** golden/ledger-version-3.sql was written by the program that had that version, and is never made anew. */
describe('a ledger of schema version 3, whose log has all heartbeats', () => {
  const startMs = octoberMs
  const now = startMs + 3 * hourMs
  let folder: string
  let ledger: LedgerStore
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-ledger-'))
    const file = join(folder, 'ledger.db')
    const database = new DatabaseSync(file)
    database.exec(await readFile(join(import.meta.dirname, 'golden/ledger-version-3.sql'), 'utf8'))
    database.close()
    ledger = await openSqliteLedger({ file })
  })
  afterEach(async () => {
    await ledger.close()
    await rm(folder, { recursive: true })
  })
  // As that program printed them.
  const proven = {
    events: 14,
    headHash: 'c73a4bd07017fa6ab59f1de7365cce7dcd95730a84b87a244fcf1d6ff2ff0879',
    sealHash: '10d11cbf71054bc16ff12e4ea37fdbb2e7052e9f673a4a821e98727fbcbf670c',
    projectionHash: 'b59943fe6ffd660073cdf1420f5d5683e9f08b92b562fe68043aef91f3f93b3a',
    problems: [],
  }
  const seen = (pod: string, afterMs: number): UsageEvent =>
    testEvent(pod, { atMs: startMs + afterMs, fact: { kind: 'OBSERVED', bucket: startMs + afterMs } })

  it('has the same hashes and bills, also from empty, and knows when what runs was last seen', async () => {
    expect(await verifyLedger(ledger, { nowMs: now }, never)).toMatchObject(proven)
    await ledger.rebuild(never)
    expect(await verifyLedger(ledger, { nowMs: now }, never)).toMatchObject(proven)
    const billed = await bill(ledger, { fromMs: startMs, toMs: now, by: 'pod', nowMs: now }, never)
    expect(billed.rows.map(({ pod, amount }) => [pod, amount])).toEqual([
      ['runs', '0.0985176'],
      ['replaced', '0.097883621'],
      ['replaced', '0.000269099'],
    ])
    const open = await ledger.openIntervals(never)
    expect(open.map(({ podUid, observedUntilMs }) => [podUid, observedUntilMs - startMs])).toEqual([
      ['replaced', hourMs + 1],
      ['runs', 2 * hourMs + 30_000],
    ])
  })

  it('goes on beside its log, which what decides still comes into', async () => {
    await ledger.append([seen('runs', 2 * hourMs + 60_000), seen('replaced', 1_200_000)], never)
    expect(await ledger.openIntervals(never)).toMatchObject([
      { podUid: 'replaced', observedUntilMs: startMs + hourMs + 1 },
      { podUid: 'runs', observedUntilMs: startMs + 2 * hourMs + 60_000 },
    ])
    expect(await verifyLedger(ledger, { nowMs: now }, never)).toMatchObject(proven)
    await ledger.append([seen('replaced', 1_270_000)], never)
    expect(await verifyLedger(ledger, { nowMs: now }, never)).toMatchObject({ events: 16, problems: [] })
    expect(await ledger.intervals({ fromMs: startMs, toMs: now }, never)).toContainEqual(
      expect.objectContaining({ podUid: 'replaced', endMs: startMs + 1_270_000, confidence: 'estimated' }),
    )
  })
})
