import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findInvoker, homeOfPasswdLine, makeOwnedDir, userCacheDir } from '../../src/dev-cluster/cache-dir.ts'
import { diskSpaceSentence, requireDiskSpace } from '../../src/dev-cluster/disk-space.ts'
import { goFailureSentence, noGoSentence } from '../../src/dev-cluster/go-toolchain.ts'
import { getSystemTools, isStaticElf, missingToolsSentence } from '../../src/dev-cluster/system-packages.ts'
import { silentProgress } from '../../src/dev-cluster/progress.ts'

const { signal } = new AbortController()
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-machine-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

describe('the cache', () => {
  it('is where XDG_CACHE_HOME says, or in .cache of the home', () => {
    expect(userCacheDir({ XDG_CACHE_HOME: '/big/cache' }, { home: '/home/ada' })).toBe('/big/cache/spillway')
    expect(userCacheDir({}, { home: '/home/ada' })).toBe('/home/ada/.cache/spillway')
    expect(userCacheDir({ XDG_CACHE_HOME: 'relative' }, { home: '/home/ada' })).toBe(
      '/home/ada/.cache/spillway',
    )
  })

  it('is that of the person who typed sudo', async () => {
    // uid 1 exists on every Linux, whatever it is called there.
    const environment = { PATH: '/usr/bin:/bin', HOME: '/root', SUDO_UID: '1', SUDO_GID: '1' }
    const invoker = await findInvoker(environment, 0, signal)
    expect(invoker.runAs).toEqual({ uid: 1, gid: 1 })
    expect(invoker.home).not.toBe('/root')
  })

  it('is the own one without sudo, and with variables of sudo that an unprivileged process inherited', async () => {
    expect(await findInvoker({ HOME: '/home/ada' }, 1000, signal)).toEqual({ home: '/home/ada' })
    expect(await findInvoker({ HOME: '/home/ada', SUDO_UID: '7', SUDO_GID: '7' }, 1000, signal)).toEqual({
      home: '/home/ada',
    })
  })

  it('needs a home', async () => {
    await expect(findInvoker({}, 1000, signal)).rejects.toMatchObject({ code: 'Environment' })
  })

  it('is made with the folders above it', async () => {
    await makeOwnedDir(join(dir, 'a/b/c'), { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
    expect((await stat(join(dir, 'a/b/c'))).isDirectory()).toBe(true)
  })

  it('reads the home from a passwd line', () => {
    expect(homeOfPasswdLine('ada:x:1000:1000:Ada L.,,,:/home/ada:/bin/bash\n')).toBe('/home/ada')
    expect(homeOfPasswdLine('')).toBeUndefined()
  })
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

describe('what a machine lacks', () => {
  it('is Go', () => {
    expect(noGoSentence(undefined)).toMatch(/^Go is not installed: .* needs Go 1\.26\.6 or newer; install it/)
    expect(noGoSentence('go1.19.8 at /usr/bin/go')).toMatch(
      /^Go is too old \(go1\.19\.8 at \/usr\/bin\/go\): /,
    )
  })

  it('is a network to the module proxy', () => {
    const said =
      'go: downloading example.org/x v1.0.0\nexample.org/x@v1.0.0: Get "http://127.0.0.1:1/x.zip": dial tcp 127.0.0.1:1: connect: connection refused'
    const sentence = goFailureSentence(['build'], said, 'http://127.0.0.1:1')
    expect(sentence).toMatch(
      /^The Go module proxy \(GOPROXY=http:\/\/127\.0\.0\.1:1\) cannot be reached: check/,
    )
    expect(sentence).toContain('connect: connection refused')
  })

  it('is space in the middle of a build', () => {
    expect(goFailureSentence(['build'], 'link: write: no space left on device', 'direct')).toMatch(
      /^The disk became full while building/,
    )
  })

  it('is nothing when Go itself complains', () => {
    expect(goFailureSentence(['build', 'x/y'], 'y.go:1: syntax error', 'direct')).toBe(
      '"go build … x/y" failed. Go said:\ny.go:1: syntax error',
    )
  })

  it('is system packages, with the command that installs them', () => {
    expect(missingToolsSentence(['runc', 'nft'], true)).toBe(
      'Missing on this machine: runc 1.1 or newer, nft; run "sudo apt-get install runc nftables" and run this again.',
    )
    expect(missingToolsSentence(['busybox'], false)).toContain('what your system calls busybox-static')
  })
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
})
