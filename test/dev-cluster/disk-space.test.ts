import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { diskSpaceSentence, requireDiskSpace } from '../../src/dev-cluster/disk-space.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-space-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

describe('disk space', () => {
  it('is enough when it is', async () => {
    await expect(
      requireDiskSpace([{ dir: join(dir, 'not/there/yet'), megabytes: 0 }]),
    ).resolves.toBeUndefined()
  })

  it('is counted together for folders on one file system', async () => {
    const halfOfTooMuch = 5e12
    await expect(
      requireDiskSpace([
        { dir, megabytes: halfOfTooMuch },
        { dir: join(dir, 'sub'), megabytes: halfOfTooMuch },
      ]),
    ).rejects.toMatchObject({ code: 'Environment', message: expect.stringContaining('10000000000.0 GB') })
  })

  it('is asked for in one sentence with a remedy', () => {
    expect(diskSpaceSentence('/home', 8000, 1234)).toBe(
      'The disk that holds /home has 1.2 GB free, and the first build needs about 8.0 GB: free some space, or set XDG_CACHE_HOME, GOCACHE and GOMODCACHE to a larger disk, and run this again.',
    )
  })
})
