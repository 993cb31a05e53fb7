import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findInvoker, homeOfPasswdLine, makeOwnedDir, userCacheDir } from '../../src/dev-cluster/cache-dir.ts'

const { signal } = new AbortController()
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-cache-'))
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
