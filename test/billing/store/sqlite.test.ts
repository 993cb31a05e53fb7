import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../../src/billing/store/sqlite.ts'
import { asPodUid } from '../../../src/model/pod-key.ts'
import { testLedgerStore, type LedgerPlace } from '../../conformance/ledger-store.ts'
import { testLedgerWriters } from '../../conformance/ledger-writers.ts'
import { fakeEpochMs } from '../../support/fake-clock.ts'
import { until } from '../../support/until.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal

async function makePlace(): Promise<LedgerPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-ledger-'))
  const url = join(folder, 'ledger.db')
  return {
    url,
    letClaimExpire: () => {
      const database = new DatabaseSync(url)
      database.exec('update writer set renewed_ms = 0')
      database.close()
      return Promise.resolve()
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

testLedgerStore('SQLite', makePlace)
testLedgerWriters('SQLite', makePlace)

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

  it(
    'calls a file that is no ledger corrupt, and opens what is put in its place',
    { timeout: 30_000 },
    async () => {
      await writeFile(
        file,
        'this is not a database, and long enough to be told from an empty file '.repeat(20),
      )
      await expect(openSqliteLedger({ file, readOnly: true })).rejects.toMatchObject({
        code: 'LedgerCorrupt',
      })
      // There are Pods to be ended all the same.
      const ledger = await openSqliteLedger({ file })
      const events = lifeOf('a', { startMs: fakeEpochMs })
      await expect(ledger.append(events, never)).rejects.toMatchObject({ code: 'LedgerCorrupt' })
      await rm(file)
      expect(await ledger.append(events, never)).toContain('appended')
      await ledger.close()
    },
  )

  it('tells every few seconds that its claim could be written, or why not', { timeout: 60_000 }, async () => {
    const renewals: (string | undefined)[] = []
    const ledger = await openSqliteLedger({ file, onRenewal: (failure) => renewals.push(failure?.message) })
    await until('it was renewed', () => Promise.resolve(renewals.length > 0), never)
    expect(renewals).toEqual([undefined])
    const database = new DatabaseSync(file)
    database.exec(
      "create trigger no_renewal before update on writer begin select raise(abort, 'not now'); end",
    )
    await until('it was not', () => Promise.resolve(renewals.length > 1), never)
    expect(renewals[1]).toMatch(/ledger\.db: not now$/)
    database.exec('drop trigger no_renewal')
    database.close()
    await until('it is again', () => Promise.resolve(renewals.length > 2), never)
    expect(renewals[2]).toBeUndefined()
    await ledger.close()
  })

  it('lets nobody change or remove an event', async () => {
    await writeOnePod()
    const database = new DatabaseSync(file)
    expect(() => database.exec("update event set body = '{}'")).toThrow('append-only')
    expect(() => database.exec('delete from event')).toThrow('append-only')
    database.close()
  })
})
