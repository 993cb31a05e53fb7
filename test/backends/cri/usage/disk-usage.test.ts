import { execFileSync } from 'node:child_process'
import { link, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
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

it('does not follow a link that a container puts in the place of a directory meanwhile', async () => {
  const [volume, machine] = [join(folder, 'volume'), join(folder, 'machine')]
  await mkdir(join(machine, 'deep'), { recursive: true })
  await writeFile(join(machine, 'big'), Buffer.alloc(1_000_000))
  await writeFile(join(machine, 'deep/big'), Buffer.alloc(1_000_000))
  await mkdir(join(volume, 'swapped/deep'), { recursive: true })
  await symlink(machine, join(volume, 'link'))
  const at = (name: string): string => join(volume, name)
  const over = new AbortController()
  const swapping = (async () => {
    while (!over.signal.aborted) {
      await rename(at('swapped'), at('kept'))
      await rename(at('link'), at('swapped'))
      await rename(at('swapped'), at('link'))
      await rename(at('kept'), at('swapped'))
    }
  })()
  const most = { bytes: 0n }
  for (let walk = 0; walk < 250; walk++) {
    const { usedBytes } = await diskUse(volume, signal)
    if (usedBytes > most.bytes) most.bytes = usedBytes
  }
  over.abort()
  await swapping
  expect(most.bytes).toBeLessThan(1_000_000n)
})

it('counts what lies deep', async () => {
  const deep = join(folder, ...Array.from({ length: 100 }, () => 'd'))
  await mkdir(deep, { recursive: true })
  await writeFile(join(deep, 'file'), Buffer.alloc(100_000))
  const { usedBytes, usedInodes } = await diskUse(folder, signal)
  expect(usedInodes).toBe(102n)
  expect(usedBytes).toBeGreaterThanOrEqual(100_000n)
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
