import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HealthCheck } from '../../../src/backends/backend.ts'
import { DiskReserve, keepReserve } from '../../../src/backends/cri/disk-reserve.ts'
import { writeWhole } from '../../../src/backends/cri/whole-file.ts'
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

async function sizeBytes(): Promise<number> {
  const files = await readdir(path)
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(path, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('the reserve', () => {
  it('takes room that no file system can pack, and is for nobody else to read', async () => {
    await reserve.keep()
    expect(await sizeBytes()).toBe(sixteenMiB)
    expect((await stat(path)).mode & 0o077).toBe(0)
    const [one = ''] = await readdir(path)
    const kept = await readFile(join(path, one))
    expect(deflateRawSync(kept, { level: 1 }).length).toBeGreaterThan(0.99 * kept.length)
  })

  it('is written once: what is whole is left alone, also by the next process', async () => {
    await reserve.keep()
    const { ino, mtimeMs } = await stat(join(path, '7'))
    await reserve.keep()
    await new DiskReserve(stateDir).keep()
    expect(await stat(join(path, '7'))).toMatchObject({ ino, mtimeMs })
  })

  it('is made whole when a crash left a part of it', async () => {
    await mkdir(path)
    await writeFile(join(path, '0'), 'a part')
    await reserve.keep()
    expect(await sizeBytes()).toBe(sixteenMiB)
  })

  it('is given back, also when there is none', async () => {
    await reserve.keep()
    await reserve.release()
    await reserve.release()
    expect(existsSync(path)).toBe(false)
  })

  it('is none on a full disk, which is no error, and takes no part of the last room', async () => {
    const makeRoom = await fillDiskAt(join(path, '5'))
    await reserve.keep()
    expect(existsSync(path)).toBe(false)
    await makeRoom()
    await reserve.keep()
    expect(await sizeBytes()).toBe(sixteenMiB)
  })

  it('lends a file for each note, keeps the rest, and is made whole again', async () => {
    await reserve.keep()
    await reserve.lend(join(stateDir, 'one.json'))
    await Promise.all(
      ['two', 'three'].map(async (name) => await reserve.lend(join(stateDir, `${name}.json`))),
    )
    for (const name of ['one', 'two', 'three']) {
      expect((await stat(join(stateDir, `${name}.json.new`))).size).toBe(256 * 1024)
    }
    expect(await sizeBytes()).toBe(sixteenMiB - 3 * 256 * 1024)
    await reserve.keep()
    expect(await sizeBytes()).toBe(sixteenMiB)
  })

  it('lends the very file that the note is written to, so that it needs none that is new', async () => {
    await reserve.keep()
    const note = join(stateDir, 'note.json')
    await reserve.lend(note)
    const { ino } = await stat(`${note}.new`)
    await writeWhole(note, { said: 'so' })
    expect(await stat(note)).toMatchObject({ ino, size: '{"said":"so"}'.length })
  })

  it('lends no more than it has, and nothing where there is none', async () => {
    await mkdir(path)
    await writeFile(join(path, '0'), 'the rest')
    await reserve.lend(join(stateDir, 'one.json'))
    await reserve.lend(join(stateDir, 'two.json'))
    await reserve.release()
    await reserve.lend(join(stateDir, 'three.json'))
    expect(await readdir(stateDir)).toEqual(['one.json.new'])
  })

  it('is an error where it cannot be for another reason', async () => {
    await writeFile(join(stateDir, 'file'), '')
    await expect(new DiskReserve(join(stateDir, 'file')).keep()).rejects.toThrow('ENOTDIR')
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
    expect(await sizeBytes()).toBe(sixteenMiB)
    await reserve.release()
    await nextTurn()
    expect(await sizeBytes()).toBe(sixteenMiB)
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
