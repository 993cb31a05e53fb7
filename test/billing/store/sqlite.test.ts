import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../../src/billing/verify.ts'
import { asPodUid } from '../../../src/model/pod-key.ts'
import { testLedgerStore } from '../../conformance/ledger-store.ts'
import { fakeEpochMs } from '../../support/fake-clock.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal

testLedgerStore('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-ledger-'))
  const file = join(folder, 'ledger.db')
  return {
    open: (options) => openSqliteLedger({ file, ...options }),
    letClaimExpire: () => {
      const database = new DatabaseSync(file)
      database.exec('update writer set renewed_ms = 0')
      database.close()
      return Promise.resolve()
    },
    remove: () => rm(folder, { recursive: true }),
  }
})

describe('the SQLite ledger', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-ledger-'))
    file = join(folder, 'ledger.db')
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })
  const writeOnePod = async (): Promise<void> => {
    const ledger = await openSqliteLedger({ file })
    await ledger.append(lifeOf('a', { startMs: fakeEpochMs, endMs: fakeEpochMs + 1 }), never)
    await ledger.close()
  }

  it('can be read while nothing runs, and then cannot be written', async () => {
    await writeOnePod()
    await chmod(file, 0o444)
    const reader = await openSqliteLedger({ file, readOnly: true })
    expect((await reader.history(asPodUid('a'), never)).intervals).toHaveLength(1)
    await expect(reader.append(lifeOf('b', { startMs: fakeEpochMs }), never)).rejects.toMatchObject({
      code: 'LedgerUnavailable',
    })
    await reader.close()
  })

  it('can be read beside the one that writes it', async () => {
    const writer = await openSqliteLedger({ file })
    const reader = await openSqliteLedger({ file, readOnly: true })
    await writer.append(lifeOf('a', { startMs: fakeEpochMs }), never)
    expect(await reader.openIntervals(never)).toHaveLength(1)
    await Promise.all([reader.close(), writer.close()])
  })

  it('has one writer at a time, and the next once that has closed', async () => {
    const first = await openSqliteLedger({ file })
    await expect(openSqliteLedger({ file })).rejects.toMatchObject({
      code: 'LedgerUnavailable',
      message: expect.stringContaining('another Spillway'),
    })
    await first.close()
    await (await openSqliteLedger({ file })).close()
  })

  it('is not made by reading it', async () => {
    await expect(openSqliteLedger({ file, readOnly: true })).rejects.toMatchObject({
      code: 'LedgerUnavailable',
    })
    expect(await readdir(folder)).toEqual([])
  })

  it('refuses a file that a newer program wrote', async () => {
    await writeOnePod()
    const database = new DatabaseSync(file)
    database.exec('insert into schema_version values (99)')
    database.close()
    for (const readOnly of [true, false]) {
      await expect(openSqliteLedger({ file, readOnly })).rejects.toMatchObject({
        code: 'Rejected',
        message: expect.stringContaining('schema version 99'),
      })
    }
  })

  it('calls a file that is no ledger corrupt', async () => {
    await writeFile(file, 'this is not a database, and long enough to be told from an empty file '.repeat(20))
    await expect(openSqliteLedger({ file })).rejects.toMatchObject({ code: 'LedgerCorrupt' })
  })

  it('lets nobody change or remove an event', async () => {
    await writeOnePod()
    const database = new DatabaseSync(file)
    expect(() => database.exec("update event set body = '{}'")).toThrow('append-only')
    expect(() => database.exec('delete from event')).toThrow('append-only')
    database.close()
  })

  it('loses nothing that it acknowledged when the process is killed in the middle of appends', async () => {
    const acknowledged = new Set<string>()
    // Each round goes on where the last one was killed, and repeats what was under way: as a restart does.
    for (const killAfter of [1, 40, 150]) {
      for (const id of await appendUntilKilled(file, killAfter)) acknowledged.add(id)
    }
    const ledger = await openSqliteLedger({ file })
    const stored = await ledger.events({ afterSeq: 0, limit: 100_000 }, never)
    const ids = stored.map(({ event }) => event.id)
    expect(new Set(ids).size).toBe(ids.length)
    expect([...acknowledged].filter((id) => !ids.includes(id))).toEqual([])
    expect(acknowledged.size).toBeGreaterThanOrEqual(150)
    expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    await ledger.close()
  }, 60_000)
})

/** Runs a writer, and kills it with SIGKILL once it has told of so many durable events. Answers their ids. */
async function appendUntilKilled(file: string, killAfter: number): Promise<Set<string>> {
  const script = join(import.meta.dirname, '../../support/append-events.ts')
  const child = spawn('node', [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
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
