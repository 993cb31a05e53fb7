import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { lifeOf } from '../support/usage-events.ts'

const run = promisify(execFile)
const never = new AbortController().signal
const refused = { code: 'LedgerUnavailable', reason: 'DiskFailure' }

describe('a ledger on a disk that fills up', () => {
  let folder: string
  let file: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-full-'))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'spillway-test', folder])
    file = join(folder, 'ledger.db')
  })
  afterEach(async () => {
    await run('umount', [folder])
    await rm(folder, { recursive: true })
  })

  /** To the last byte. */
  async function fill(): Promise<void> {
    await expect(writeFile(join(folder, 'rest'), Buffer.alloc(1 << 20))).rejects.toMatchObject({
      code: 'ENOSPC',
    })
  }

  async function makeRoom(): Promise<void> {
    await rm(join(folder, 'rest'))
  }

  it('refuses what it cannot keep, and keeps the same when there is room', async () => {
    const ledger = await openSqliteLedger({ file })
    await ledger.append(lifeOf('a', { startMs: fakeEpochMs }), never)
    await fill()
    // The write-ahead log may have a page to spare.
    const many = Array.from({ length: 200 }, (_, index) =>
      lifeOf(`b${index}`, { startMs: fakeEpochMs }),
    ).flat()
    await expect(ledger.append(many, never)).rejects.toMatchObject(refused)
    expect((await ledger.history(asPodUid('b0'), never)).intervals).toEqual([])
    await makeRoom()
    expect(new Set(await ledger.append(many, never))).toEqual(new Set(['appended']))
    expect(await ledger.openIntervals(never)).toHaveLength(201)
    expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    await ledger.close()
  })

  it('opens nothing on a full disk, says so to who asks, and is whole as soon as there is room', async () => {
    const before = await openSqliteLedger({ file })
    await before.append(lifeOf('a', { startMs: fakeEpochMs }), never)
    await before.close()
    await fill()
    const ledger = await openSqliteLedger({ file })
    await expect(ledger.append(lifeOf('b', { startMs: fakeEpochMs }), never)).rejects.toMatchObject(refused)
    await makeRoom()
    await ledger.append(lifeOf('b', { startMs: fakeEpochMs }), never)
    expect(await ledger.openIntervals(never)).toHaveLength(2)
    await ledger.close()
  })
})

describe('a ledger on a disk that can only be read', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-read-only-'))
    await run('mount', ['-t', 'tmpfs', 'spillway-test', folder])
  })
  afterEach(async () => {
    await run('umount', [folder])
    await rm(folder, { recursive: true })
  })

  it('refuses what is to be written, and says why; given the disk back, it goes on and has lost nothing', async () => {
    const file = join(folder, 'ledger.db')
    const before = await openSqliteLedger({ file })
    await before.append(lifeOf('a', { startMs: fakeEpochMs }), never)
    await before.close()
    await run('mount', ['-o', 'remount,ro', folder])
    const ledger = await openSqliteLedger({ file })
    await expect(ledger.append(lifeOf('b', { startMs: fakeEpochMs }), never)).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(/ledger\.db: .*: the disk is mounted read-only$/),
    })
    await run('mount', ['-o', 'remount,rw', folder])
    await ledger.append(lifeOf('b', { startMs: fakeEpochMs }), never)
    expect(await ledger.openIntervals(never)).toHaveLength(2)
    expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    await ledger.close()
  })
})
