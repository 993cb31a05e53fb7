import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isDiskFull, readWhole, writeWhole } from '../../../src/backends/cri/whole-file.ts'
import { fillDiskAt } from './full-disk.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-whole-'))
  path = join(folder, 'note.json')
})

afterEach(async () => await rm(folder, { recursive: true }))

describe('a file that is written whole', () => {
  it('is read as it was written last, without a draft beside it', async () => {
    await writeWhole(path, { size: 'a much longer one' })
    await writeWhole(path, { size: 1 })
    expect(await readWhole(path)).toEqual({ size: 1 })
    expect(await readdir(folder)).toEqual(['note.json'])
  })

  it('is not written into: who has it open reads on in what it was', async () => {
    await writeWhole(path, { size: 1 })
    const { ino } = await stat(path)
    await writeWhole(path, { size: 2 })
    expect((await stat(path)).ino).not.toBe(ino)
  })

  it('is its owner’s alone: what hooks wrote may stand in it', async () => {
    await writeWhole(path, { size: 1 })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('is as it was when a full disk takes no other', async () => {
    await writeWhole(path, { size: 1 })
    await fillDiskAt(`${path}.new`)
    const error: unknown = await writeWhole(path, { size: 2 }).catch((reason: unknown) => reason)
    expect(isDiskFull(error)).toBe(true)
    expect(await readWhole(path)).toEqual({ size: 1 })
  })

  it('is none before it is written', async () => {
    expect(await readWhole(path)).toBeUndefined()
  })

  it.each(['', '{"size":', '\0\0\0\0'])(
    'is none when the machine’s own end has left %j of it',
    async (left) => {
      await writeFile(path, left)
      expect(await readWhole(path)).toBeUndefined()
    },
  )

  it('is an error when it cannot be read', async () => {
    await expect(readWhole(folder)).rejects.toThrow('EISDIR')
  })
})

describe('a full disk', () => {
  it.each([
    ['ENOSPC', true],
    ['EDQUOT', true],
    ['EACCES', false],
  ])('%s: %s', (code, isFull) => {
    expect(isDiskFull(Object.assign(new Error(code), { code }))).toBe(isFull)
  })
})
