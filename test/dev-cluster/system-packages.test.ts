import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentProgress } from '../../src/dev-cluster/progress.ts'
import { getSystemTools, isStaticElf, missingToolsSentence } from '../../src/dev-cluster/system-packages.ts'

const { signal } = new AbortController()
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-tools-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

describe('system tools', () => {
  it('are found without asking for root when they are there', async () => {
    const options = { environment: { PATH: '' }, processUid: 1000, progress: silentProgress }
    expect(await getSystemTools([], options, signal)).toEqual(new Map())
  })

  it('tell a dynamically linked program from a static one', async () => {
    expect(await isStaticElf(process.execPath)).toBe(false)
    expect(await isStaticElf(import.meta.filename)).toBe(false)
    // A header that names no program headers at all, so no dynamic linker either.
    const header = Buffer.alloc(64)
    header.write('\u007FELF', 'latin1')
    await writeFile(join(dir, 'static'), header)
    expect(await isStaticElf(join(dir, 'static'))).toBe(true)
  })

  it('that are missing are named, with the command that installs them', () => {
    expect(missingToolsSentence(['runc', 'nft'], true)).toBe(
      'Missing on this machine: runc 1.1 or newer, nft; run "sudo apt-get install runc nftables" and run this again.',
    )
    expect(missingToolsSentence(['busybox'], false)).toContain('what your system calls busybox-static')
  })
})
