import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readKernelSettings, restoreKernelSettings } from '../../src/dev-cluster/kernel-settings.ts'

const ordinary = {
  'vm/overcommit_memory': '0',
  'vm/panic_on_oom': '0',
  'kernel/panic': '0',
  'kernel/panic_on_oops': '0',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
}
let root: string

async function set(settings: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, value] of Object.entries(settings)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), `${value}\n`)
  }
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'spillway-sys-'))
  await set(ordinary)
})

afterEach(async () => {
  await rm(root, { recursive: true })
})

describe('kernel settings that kubelet changes for the whole machine', () => {
  it('are put back as they were', async () => {
    const before = await readKernelSettings(root)
    expect(before).toEqual({ 'vm/overcommit_memory': '0', 'kernel/panic': '0', 'kernel/panic_on_oops': '0' })
    await set({ 'vm/overcommit_memory': '1', 'kernel/panic': '10', 'kernel/panic_on_oops': '1' })
    expect(await readKernelSettings(root)).toEqual({})
    await restoreKernelSettings(before, root)
    expect(await readKernelSettings(root)).toEqual(before)
  })

  it('are left where somebody chose another value since', async () => {
    const before = await readKernelSettings(root)
    await set({ 'vm/overcommit_memory': '2', 'kernel/panic': '10' })
    await restoreKernelSettings(before, root)
    expect(await readFile(join(root, 'vm/overcommit_memory'), 'utf8')).toBe('2\n')
    expect(await readFile(join(root, 'kernel/panic'), 'utf8')).toBe('0')
  })
})
