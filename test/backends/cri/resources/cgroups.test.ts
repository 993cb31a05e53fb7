import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cgroups } from '../../../../src/backends/cri/resources/cgroups.ts'

// The files of a v2 tree, without a kernel behind them: this machine may have v1 only.
describe('the cgroup of a Pod in v2', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp('/tmp/spillway-cgroup-')
    await mkdir(join(root, 'spillway/pods'), { recursive: true })
    for (const folder of ['', 'spillway', 'spillway/pods']) {
      await writeFile(join(root, folder, 'cgroup.controllers'), 'cpuset cpu memory\n')
    }
  })

  afterEach(async () => {
    await rm(root, { recursive: true })
  })

  it('has a container in it until no process is in that or below, or it is not there', async () => {
    const cgroups = new Cgroups({ version: 2, root }, '/spillway/pods')
    const isEmpty = () => cgroups.isEmpty('uid-1', 'abc')
    expect(await isEmpty()).toBe(true)
    const container = join(root, 'spillway/pods/poduid-1/abc/init.scope')
    await mkdir(container, { recursive: true })
    await writeFile(join(container, 'cgroup.procs'), '4711\n')
    expect(await isEmpty()).toBe(false)
    await writeFile(join(container, 'cgroup.procs'), '')
    expect(await isEmpty()).toBe(true)
  })

  it('is limited, and given its controllers by every ancestor', async () => {
    const cgroups = new Cgroups({ version: 2, root }, '/spillway/pods')
    await cgroups.ensure('uid-1', { cpuShares: 1024, cpuQuotaUs: 50_000, memoryBytes: 1024n })
    const read = (path: string) => readFile(join(root, path), 'utf8')
    expect(await read('spillway/pods/poduid-1/cpu.max')).toBe('50000 100000')
    expect(await read('spillway/pods/poduid-1/cpu.weight')).toBe('100')
    expect(await read('spillway/pods/poduid-1/memory.max')).toBe('1024')
    for (const folder of ['.', 'spillway', 'spillway/pods']) {
      expect(await read(`${folder}/cgroup.subtree_control`)).toBe('+cpu +memory +cpuset')
    }
    expect(await cgroups.list()).toEqual(['uid-1'])
  })

  it('has no more processes than it may have, where the kernel counts them', async () => {
    const cgroups = new Cgroups({ version: 2, root }, '/spillway/pods', 4096)
    const limits = { cpuShares: 1024 }
    await cgroups.ensure('uncounted', limits)
    const counted = join(root, 'spillway/pods/podcounted')
    await mkdir(counted)
    await writeFile(join(counted, 'pids.max'), 'max')
    await cgroups.ensure('counted', limits)
    expect(await readFile(join(counted, 'pids.max'), 'utf8')).toMatch(/^4096/)
    await expect(readFile(join(root, 'spillway/pods/poduncounted/pids.max'))).rejects.toThrow('ENOENT')
  })
})
