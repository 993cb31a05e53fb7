import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bill } from '../../../src/billing/invoice.ts'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../../src/billing/verify.ts'

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
