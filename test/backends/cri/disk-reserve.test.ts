import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HealthCheck } from '../../../src/backends/backend.ts'
import { DiskReserve, keepReserve } from '../../../src/backends/cri/disk-reserve.ts'
import { createLog, silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { fillDiskAt } from './full-disk.ts'

const sixteenMiB = 16 * 1024 * 1024
let stateDir: string
let path: string
let reserve: DiskReserve

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'spillway-reserve-'))
  path = join(stateDir, 'reserve')
  reserve = new DiskReserve(stateDir)
})

afterEach(async () => await rm(stateDir, { recursive: true }))

describe('the reserve', () => {
  it('takes room that no file system can pack, and is for nobody else to read', async () => {
    await reserve.keep()
    const { size, mode } = await stat(path)
    expect(size).toBe(sixteenMiB)
    expect(deflateRawSync(await readFile(path), { level: 1 }).length).toBeGreaterThan(0.99 * sixteenMiB)
    expect(mode & 0o077).toBe(0)
  })

  it('is written once: what is whole is left alone, also by the next process', async () => {
    await reserve.keep()
    const { ino, mtimeMs } = await stat(path)
    await reserve.keep()
    await new DiskReserve(stateDir).keep()
    expect(await stat(path)).toMatchObject({ ino, mtimeMs })
  })

  it('is made whole when a crash left a part of it', async () => {
    await writeFile(path, 'a part')
    await reserve.keep()
    expect((await stat(path)).size).toBe(sixteenMiB)
  })

  it('is given back, also when there is none', async () => {
    await reserve.keep()
    await reserve.release()
    await reserve.release()
    expect(existsSync(path)).toBe(false)
  })

  it('is none on a full disk, which is no error, and takes no part of the last room', async () => {
    await fillDiskAt(path)
    await reserve.keep()
    await expect(stat(path)).rejects.toThrow('ENOENT')
    await reserve.keep()
    expect((await stat(path)).size).toBe(sixteenMiB)
  })

  it('lends room for a note, keeps the rest, and is made whole again', async () => {
    await reserve.keep()
    await reserve.lend()
    expect((await stat(path)).size).toBe(sixteenMiB - 256 * 1024)
    await reserve.lend()
    expect((await stat(path)).size).toBe(sixteenMiB - 512 * 1024)
    await reserve.keep()
    expect((await stat(path)).size).toBe(sixteenMiB)
  })

  it('lends no more than it has, and nothing where there is none', async () => {
    await writeFile(path, 'the rest')
    await reserve.lend()
    expect((await stat(path)).size).toBe(0)
    await reserve.release()
    await reserve.lend()
    expect(existsSync(path)).toBe(false)
  })

  it('is an error where it cannot be for another reason', async () => {
    await symlink('/proc/nowhere/reserve', path)
    await expect(reserve.keep()).rejects.toThrow('ENOENT')
  })
})

describe('keeping it', () => {
  const roomy: HealthCheck = { ok: true, reason: 'NodeHasNoDiskPressure', message: '' }
  const short: HealthCheck = { ok: false, reason: 'NodeHasDiskPressure', message: '' }
  let clock: FakeClock
  let stop: AbortController
  let disk: HealthCheck | Error
  let lines: string[]
  let kept: Promise<void>

  beforeEach(() => {
    clock = new FakeClock()
    stop = new AbortController()
    disk = roomy
    lines = []
  })

  afterEach(async () => {
    stop.abort()
    await kept
  })

  async function begin(log = silentLog()): Promise<void> {
    const look = async (): Promise<HealthCheck> => {
      if (disk instanceof Error) throw disk
      return disk
    }
    kept = keepReserve({ reserve, disk: look, clock, log }, stop.signal)
    await clock.whenPending(1)
  }

  async function nextTurn(): Promise<void> {
    await clock.advance(10_000)
    await clock.whenPending(1)
  }

  it('sets it aside at once where there is room, and again soon after it was needed', async () => {
    await begin()
    expect((await stat(path)).size).toBe(sixteenMiB)
    await reserve.release()
    await nextTurn()
    expect((await stat(path)).size).toBe(sixteenMiB)
  })

  it('waits until the disk is no longer short', async () => {
    disk = short
    await begin()
    await nextTurn()
    expect(existsSync(path)).toBe(false)
    disk = roomy
    await nextTurn()
    expect(existsSync(path)).toBe(true)
  })

  it('goes on after it has failed, and says so', async () => {
    disk = new Error('no such disk')
    await begin(createLog({ level: 'warn', destination: { write: (line) => void lines.push(line) } }))
    expect(lines.join('')).toContain('no such disk')
    disk = roomy
    await nextTurn()
    expect(existsSync(path)).toBe(true)
  })

  it('ends with the signal', async () => {
    await begin()
    stop.abort()
    await kept
    await settled()
    expect(clock.pending).toBe(0)
  })
})
