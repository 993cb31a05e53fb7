import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { openBesideWriter, readOneMoment, ReadLog } from '../../../src/billing/store/sqlite-reading.ts'
import { fakeEpochMs } from '../../support/fake-clock.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal

describe('reading a SQLite file beside its writer', () => {
  let folder: string
  let file: string
  let writer: DatabaseSync
  let reader: DatabaseSync
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-reading-'))
    file = join(folder, 'ledger.db')
    writer = new DatabaseSync(file)
    writer.exec('pragma journal_mode = wal; pragma synchronous = off; create table entry (body text)')
    reader = openBesideWriter(file)
  })
  afterEach(async () => {
    reader.close()
    writer.close()
    await rm(folder, { recursive: true })
  })
  const add = (body = 'x'): void => void writer.prepare('insert into entry values (?)').run(body)
  const count = (): unknown => reader.prepare('select count(*) as n from entry').get()?.['n']

  it('sees what is there at once, and within one call nothing that comes meanwhile', async () => {
    add()
    const seen = await readOneMoment(reader, async () => {
      const first = count()
      add()
      return await Promise.resolve([first, count()])
    })
    expect(seen).toEqual([1, 1])
    expect(count()).toBe(2)
  })

  it('lets go of that moment when the call fails', async () => {
    const failing = readOneMoment(reader, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(reader.isTransaction).toBe(false)
  })

  it('changes nothing, and does not make a file that is gone', async () => {
    expect(() => reader.exec("insert into entry values ('y')")).toThrow('readonly')
    expect(() => openBesideWriter(join(folder, 'gone.db'))).toThrow('unable to open')
    expect(existsSync(join(folder, 'gone.db'))).toBe(false)
  })

  it('keeps the log short, although one read follows the other without a pause', () => {
    const longBytes = 256 * 1024
    const largest = (log?: ReadLog): number => {
      let bytes = 0
      reader.exec('begin')
      count()
      for (let round = 0; round < 60; round += 1) {
        for (let index = 0; index < 5; index += 1) add('x'.repeat(10_000))
        reader.exec('rollback')
        log?.shorten()
        reader.exec('begin')
        count()
        bytes = Math.max(bytes, statSync(`${file}-wal`).size)
      }
      reader.exec('rollback')
      return bytes
    }
    // One round beyond it at the most.
    expect(largest(new ReadLog(file, reader, longBytes))).toBeLessThan(longBytes + 120_000)
    expect(largest()).toBeGreaterThan(8 * longBytes)
  })

  it('does not fail a read for a log that cannot be made short', () => {
    let tried = 0
    const exec = (text: string): void => {
      if (!text.includes('wal_checkpoint')) return
      tried += 1
      throw new Error('database or disk is full')
    }
    const log = new ReadLog(file, { exec }, 0)
    log.shorten()
    expect(tried).toBe(1)
  })

  it('does not try again and again while another process keeps the log long', () => {
    const other = new DatabaseSync(file, { readOnly: true })
    const log = new ReadLog(file, reader, 100_000)
    other.exec('begin; select count(*) from entry')
    for (let index = 0; index < 20; index += 1) add('x'.repeat(10_000))
    log.shorten()
    const long = statSync(`${file}-wal`).size
    expect(long).toBeGreaterThan(100_000)
    other.close()
    log.shorten()
    expect(statSync(`${file}-wal`).size).toBe(long)
    for (let index = 0; index < 20; index += 1) add('x'.repeat(10_000))
    log.shorten()
    expect(statSync(`${file}-wal`).size).toBe(0)
  })
})

describe('a SQLite ledger that has grown', { timeout: 60_000 }, () => {
  it('is read by a thread of its own, which leaves nothing behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'spillway-reading-'))
    const file = join(folder, 'ledger.db')
    const ledger = await openSqliteLedger({ file, readerFromEvents: 0 })
    for (const pod of ['a', 'b', 'c']) {
      await ledger.append(lifeOf(pod, { startMs: fakeEpochMs }), never)
      // What is acknowledged is seen.
      expect((await ledger.openIntervals(never)).at(-1)?.podUid).toBe(pod)
    }
    const waiting = Promise.allSettled([1, 2, 3].map(() => ledger.openIntervals(never)))
    await ledger.close()
    const answers = (await waiting).map((answer) =>
      answer.status === 'fulfilled' ? answer.value.length : (answer.reason as { code: string }).code,
    )
    expect(answers.at(-1)).toBe('LedgerUnavailable')
    expect(['ledger.db-wal', 'ledger.db-shm'].filter((name) => existsSync(join(folder, name)))).toEqual([])
    await rm(folder, { recursive: true })
  })
})
