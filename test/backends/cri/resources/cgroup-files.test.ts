import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  cpuWeight,
  readLimits,
  readMemoryUsage,
  sharesOfWeight,
  writeLimits,
} from '../../../../src/backends/cri/resources/cgroup-files.ts'
import type { CgroupLayout } from '../../../../src/backends/cri/resources/cgroup-layout.ts'

// Files stand in for the kernel's, which has one of the two layouts only.
describe('the files of a Pod’s cgroup', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'cgroup-files-'))
  })

  afterEach(async () => {
    await rm(root, { recursive: true })
  })

  async function put(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(root, name, '..'), { recursive: true })
      await writeFile(join(root, name), `${content}\n`)
    }
  }

  const text = async (name: string): Promise<string> => (await readFile(join(root, name), 'utf8')).trim()

  describe('of version 1', () => {
    const layout = (): CgroupLayout => ({
      version: 1,
      controllers: new Map(['cpu', 'memory'].map((name) => [name, join(root, name)])),
      roots: [],
    })

    it('say what the Pod has, and nothing of what is unlimited', async () => {
      await put({
        'cpu/pod/cpu.shares': '512',
        'cpu/pod/cpu.cfs_period_us': '50000',
        'cpu/pod/cpu.cfs_quota_us': '25000',
        'memory/pod/memory.limit_in_bytes': '67108864',
        'memory/pod/memory.usage_in_bytes': '4096',
      })
      const limits = { cpuShares: 512, cpuQuotaUs: 50_000, memoryBytes: 67_108_864n }
      expect(await readLimits(layout(), 'pod', { cpuShares: 2 })).toEqual(limits)
      expect(await readMemoryUsage(layout(), 'pod')).toBe(4096n)
      await put({
        'cpu/pod/cpu.cfs_quota_us': '-1',
        'memory/pod/memory.limit_in_bytes': '9223372036854771712',
      })
      expect(await readLimits(layout(), 'pod', { cpuShares: 2 })).toEqual({ cpuShares: 512 })
    })

    it('are changed one by one', async () => {
      await put({
        'cpu/pod/cpu.shares': '512',
        'cpu/pod/cpu.cfs_period_us': '100000',
        'cpu/pod/cpu.cfs_quota_us': '-1',
        'memory/pod/memory.limit_in_bytes': '9223372036854771712',
      })
      await writeLimits(layout(), 'pod', { memoryBytes: 4096n })
      expect(await readLimits(layout(), 'pod', { cpuShares: 2 })).toEqual({
        cpuShares: 512,
        memoryBytes: 4096n,
      })
      await writeLimits(layout(), 'pod', { cpuQuotaUs: 10_000 })
      expect(await text('cpu/pod/cpu.cfs_quota_us')).toBe('10000')
      expect(await text('cpu/pod/cpu.shares')).toBe('512')
    })
  })

  describe('of version 2', () => {
    const layout = (): CgroupLayout => ({ version: 2, root })

    it('have a weight for shares, and the word max', async () => {
      await put({ 'pod/cpu.weight': '100', 'pod/cpu.max': 'max 100000', 'pod/memory.max': 'max' })
      expect(await readLimits(layout(), 'pod', { cpuShares: 1024 })).toEqual({ cpuShares: 1024 })
      await writeLimits(layout(), 'pod', { cpuShares: 204, cpuQuotaUs: 20_000, memoryBytes: 4096n })
      expect(await text('pod/cpu.max')).toBe('20000 100000')
      expect(await readLimits(layout(), 'pod', { cpuShares: 204 })).toEqual({
        cpuShares: 204,
        cpuQuotaUs: 20_000,
        memoryBytes: 4096n,
      })
    })

    it('tell other shares from those that are wanted', () => {
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 262_144 }), (shares) => {
          expect(cpuWeight(sharesOfWeight(cpuWeight(shares)))).toBeLessThanOrEqual(cpuWeight(shares) + 1)
          expect(Math.abs(sharesOfWeight(cpuWeight(shares)) - shares)).toBeLessThanOrEqual(shares / 5 + 26)
        }),
      )
    })
  })
})
