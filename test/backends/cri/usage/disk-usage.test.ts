import { execFileSync } from 'node:child_process'
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { diskUse, filesystemUsage, onSameDisk } from '../../../../src/backends/cri/usage/disk-usage.ts'

const { signal } = new AbortController()
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-du-'))
})

afterEach(async () => await rm(folder, { recursive: true }))

it('counts what du counts: blocks, links once, nothing behind a symbolic link', async () => {
  await mkdir(join(folder, 'a/b'), { recursive: true })
  await writeFile(join(folder, 'a/big'), Buffer.alloc(1_000_000))
  await writeFile(join(folder, 'a/b/small'), 'x')
  await link(join(folder, 'a/big'), join(folder, 'a/b/same'))
  await symlink('/usr', join(folder, 'a/elsewhere'))
  const du = (...options: string[]): bigint =>
    BigInt(execFileSync('du', ['-sx', ...options, folder], { encoding: 'utf8' }).split('\t')[0] ?? '')
  expect(await diskUse(folder, signal)).toEqual({
    usedBytes: du('--block-size=1'),
    usedInodes: du('--inodes'),
  })
})

it('is nothing when nothing is there', async () => {
  expect(await diskUse(join(folder, 'none'), signal)).toEqual({ usedBytes: 0n, usedInodes: 0n })
  expect(await onSameDisk(folder, join(folder, 'none'))).toBe(false)
  expect(await onSameDisk(folder, folder)).toBe(true)
})

it('ends with its signal', async () => {
  await writeFile(join(folder, 'file'), 'x')
  const reason = new Error('enough')
  await expect(diskUse(folder, AbortSignal.abort(reason))).rejects.toBe(reason)
})

it('knows the whole of the file system', async () => {
  const { capacityBytes = 0n, usedBytes = 0n, availableBytes = 0n } = await filesystemUsage(folder, 1)
  expect(capacityBytes).toBeGreaterThan(0n)
  // Some is kept for root.
  expect(usedBytes + availableBytes).toBeLessThanOrEqual(capacityBytes)
})
