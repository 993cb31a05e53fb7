import { createServer, type Server } from 'node:net'
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkHostPath } from '../../../../src/backends/cri/volumes/host-path.ts'

let place: string
let server: Server

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'spillway-host-path-'))
  await mkdir(join(place, 'directory'))
  await writeFile(join(place, 'file'), 'kept')
  await symlink('directory', join(place, 'link'))
  server = createServer().listen(join(place, 'socket'))
  await new Promise((resolve) => server.once('listening', resolve))
})

afterEach(async () => {
  server.close()
  await rm(place, { recursive: true })
})

function check(name: string, type?: string): Promise<void> {
  const path = name.startsWith('/') ? name : join(place, name)
  return checkHostPath({ path, ...(type !== undefined && { type }) })
}

describe('a hostPath', () => {
  it.each([
    ['missing', undefined],
    ['missing', ''],
    ['directory', 'Directory'],
    ['link', 'Directory'],
    ['directory', 'DirectoryOrCreate'],
    ['file', 'File'],
    ['file', 'FileOrCreate'],
    ['socket', 'Socket'],
    ['/dev/null', 'CharDevice'],
  ])('%s passes as %s', async (name, type) => {
    await expect(check(name, type)).resolves.toBeUndefined()
  })

  it.each([
    ['file', 'Directory', "hostPath type check failed: PATH is not a directory, it's a File"],
    ['file', 'DirectoryOrCreate', "hostPath type check failed: PATH is not a directory, it's a File"],
    ['directory', 'File', "hostPath type check failed: PATH is not a file, it's a Directory"],
    ['directory', 'FileOrCreate', "hostPath type check failed: PATH is not a file, it's a Directory"],
    ['file', 'Socket', "hostPath type check failed: PATH is not a socket file, it's a File"],
    ['/dev/null', 'BlockDevice', "hostPath type check failed: PATH is not a block device, it's a CharDevice"],
    [
      'missing',
      'CharDevice',
      'hostPath type check failed, PATH is not a character device, unable to determine its type: path "PATH" does not exist',
    ],
    ['file', 'Floppy', 'Floppy is an invalid volume type'],
    ['file', 'SocketOrCreate', 'SocketOrCreate is an invalid volume type'],
    ['/a/../b', '', "invalid HostPath `/a/../b`: must not contain '..'"],
  ])('%s does not pass as %s: %s', async (name, type, message) => {
    const path = name.startsWith('/') ? name : join(place, name)
    await expect(check(name, type)).rejects.toMatchObject({
      code: 'Rejected',
      message: message.replaceAll('PATH', path),
    })
  })

  it('is made when it is missing and the type says so, and left as it is when not', async () => {
    await check('deep/er', 'DirectoryOrCreate')
    await check('new', 'FileOrCreate')
    await check('file', 'FileOrCreate')
    const sizes = await Promise.all(['new', 'file'].map(async (name) => (await stat(join(place, name))).size))
    expect(sizes).toEqual([0, 4])
    const modes = await Promise.all(
      ['deep/er', 'new'].map(async (name) => ((await stat(join(place, name))).mode & 0o777).toString(8)),
    )
    expect(modes).toEqual(['755', '644'])
    await chmod(join(place, 'deep/er'), 0o700)
    await check('deep/er', 'DirectoryOrCreate')
    expect(((await stat(join(place, 'deep/er'))).mode & 0o777).toString(8)).toBe('700')
  })
})
