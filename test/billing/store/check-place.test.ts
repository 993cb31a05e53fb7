import { randomUUID } from 'node:crypto'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { checkPlace } from '../../../src/billing/store/check-place.ts'
import type { CheckedLedger, CheckRequest, LogPosition } from '../../../src/billing/store/check-messages.ts'
import { openSqlitePlace } from '../../../src/billing/store/sqlite-place.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import { FakeClock, fakeEpochMs as start } from '../../support/fake-clock.ts'
import { lifeOf } from '../../support/usage-events.ts'

const chained = 'events are numbered without gaps and chained by hash'
const stillThere = 'what was written is still there'
let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-check-'))
  file = join(folder, 'ledger.db')
  await write(['a', 'b', 'c'])
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

/** Answers the last event. */
async function write(pods: readonly string[]): Promise<LogPosition> {
  const claimant = { holder: randomUUID(), holderName: 'test', clusterUid: undefined, resume: false }
  const { ledger, close } = await openSqlitePlace({
    file,
    claimant,
    besideWriter: false,
    clock: new FakeClock(),
  })
  await ledger.keepPriceBooks(shippedPriceBooks)
  await ledger.append(pods.flatMap((pod) => lifeOf(pod, { startMs: start, endMs: start + 60_000 })))
  const head = await ledger.head()
  await close()
  return head
}

async function check(request: Partial<CheckRequest> = {}, breathe = () => {}): Promise<CheckedLedger> {
  const location = { kind: 'sqlite', file } as const
  const whole = { after: undefined, written: undefined, rests: false }
  const answer = await checkPlace({ location, environment: {}, nowMs: start, ...whole, ...request }, breathe)
  if (!answer.ok) throw new SpillwayError(answer.code, answer.message)
  return answer.checked
}

/** Past all of SQLite. */
async function change(edit: (bytes: Buffer) => void): Promise<void> {
  const bytes = await readFile(file)
  edit(bytes)
  await writeFile(file, bytes)
}

/** Wherever it stands: SQLite leaves behind what it has moved. */
function flip(bytes: Buffer, text: string, offset: number): void {
  let at = bytes.indexOf(text)
  expect(at).toBeGreaterThan(0)
  for (; at >= 0; at = bytes.indexOf(text, at + 1)) bytes[at + offset] = (bytes[at + offset] ?? 0) ^ 1
}

const problems = async (request: Partial<CheckRequest> = {}) => (await check(request)).report.problems

/** As somebody with an editor could: past the triggers. */
function tamper(statement: string): void {
  const db = database()
  db.exec(`drop trigger if exists event_no_update; drop trigger if exists event_no_delete; ${statement}`)
  db.close()
}

function database(): DatabaseSync {
  return new DatabaseSync(file)
}

describe('a check of all of a ledger', () => {
  it('finds nothing wrong with one that nobody touched', async () => {
    expect(await check()).toMatchObject({ scope: 'all', report: { events: 9, pods: 3, problems: [] } })
  })

  it('names the event in which a bit of the disk has turned', async () => {
    await change((bytes) => flip(bytes, '"node":"burst-0"', 9))
    expect(await problems()).toContainEqual({
      claim: chained,
      message: 'event 1 (INTENT of Pod a) was changed',
    })
  })

  it('names the event that cannot be read at all', async () => {
    await change((bytes) => flip(bytes, '"kind":"CLOSED"', 0))
    await expect(check()).rejects.toMatchObject({
      code: 'LedgerCorrupt',
      message: expect.stringMatching(/^event 3: what is stored cannot be read/),
    })
  })

  it('notices an index that leads elsewhere, of which no event tells', async () => {
    const db = database()
    const root = db.prepare("select rootpage from sqlite_master where name = 'event_by_kind'").get()
    db.close()
    const rootpage = Number(root?.['rootpage'])
    // The last entries of the index are the first cells of its page.
    await change((bytes) => {
      const page = bytes.subarray((rootpage - 1) * 4096, rootpage * 4096)
      const at = page.lastIndexOf('CLOSED')
      expect(at).toBeGreaterThan(0)
      page.write('CLOSEX', at)
    })
    expect(await problems()).toContainEqual({
      claim: 'the database finds its own pages whole',
      message: expect.stringContaining('event_by_kind'),
    })
  })

  it('says so of pages that the disk has destroyed', async () => {
    await change((bytes) => {
      for (let page = 1; page * 4096 < bytes.length; page += 1) bytes[page * 4096] = 0x77
    })
    await expect(check()).rejects.toMatchObject({ code: 'LedgerCorrupt' })
  })

  it('says so of a file that is not there any more, or is no ledger', async () => {
    await rm(file)
    await expect(check()).rejects.toMatchObject({
      code: 'LedgerCorrupt',
      message: expect.stringMatching(/is not there any more/),
    })
    await writeFile(file, 'this is not a database, and long enough to be told from an empty file '.repeat(20))
    await expect(check()).rejects.toMatchObject({ code: 'LedgerCorrupt' })
  })

  it('notices an older ledger in the place of the one that is written', async () => {
    await copyFile(file, join(folder, 'old.db'))
    const written = await write(['d'])
    expect(await problems({ written })).toEqual([])
    await copyFile(join(folder, 'old.db'), file)
    expect(await problems({ written })).toEqual([
      { claim: stillThere, message: expect.stringContaining('event 12 was written, and is not in the log') },
    ])
  })

  it('sees one moment, whatever is written meanwhile', async () => {
    let pages = 0
    const writing = database()
    const report = await check({}, () => {
      pages += 1
      writing.exec(`update account set body = replace(body, 'default', 'other ${pages}')`)
    })
    writing.close()
    expect(pages).toBeGreaterThan(5)
    expect(report).toMatchObject({ report: { problems: [] } })
    expect((await problems()).map(({ claim }) => claim)).toContain(
      'replaying the log gives the same intervals',
    )
  })

  it('ends between two pages when it is told to', async () => {
    const ended = check({}, () => {
      throw new SpillwayError('LedgerUnavailable', 'the check was ended')
    })
    await expect(ended).rejects.toMatchObject({ code: 'LedgerUnavailable', message: 'the check was ended' })
  })
})

describe('a check of what was written since', () => {
  it('reads no more than that', async () => {
    const after = await write(['d'])
    await write(['e'])
    expect(await check({ after })).toMatchObject({ scope: 'new', report: { events: 15, problems: [] } })
    // What lies before is the next whole check's affair.
    tamper('update event set at_ms = at_ms - 1 where seq = 3')
    expect(await problems({ after })).toEqual([])
  })

  it('notices a change in it, and that the log was cut off or made anew', async () => {
    const after = await write(['d'])
    await write(['e'])
    tamper('update event set at_ms = at_ms - 1 where seq = 14')
    expect(await problems({ after })).toEqual([
      { claim: chained, message: 'event 14 (OPENED of Pod e) was changed' },
    ])
    tamper('delete from event where seq > 11')
    expect(await problems({ after })).toMatchObject([{ claim: stillThere }])
  })
})
