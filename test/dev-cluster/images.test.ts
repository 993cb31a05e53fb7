import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dependencyNames } from '../../src/dev-cluster/debian-packages.ts'
import { parseImageName } from '../../src/dev-cluster/image-name.ts'
import { imageRecipes } from '../../src/dev-cluster/image-recipes.ts'
import type { LayerEntry } from '../../src/dev-cluster/layer.ts'
import { writeLayer } from '../../src/dev-cluster/layer.ts'
import { blobPath, readImageLayout, writeImageLayout } from '../../src/dev-cluster/oci-layout.ts'
import { RegistryClient } from '../../src/dev-cluster/registry-client.ts'
import { mirrorHostsToml, writeMirrorConfig } from '../../src/dev-cluster/registry-mirror.ts'

const { signal } = new AbortController()
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-images-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

const entries: readonly LayerEntry[] = [
  { kind: 'hardlink', path: 'bin/sh', target: 'bin/busybox' },
  { kind: 'text', path: 'etc/passwd', text: 'root:x:0:0::/:/bin/sh\n' },
  { kind: 'bytes', path: 'bin/busybox', bytes: Buffer.from('program'), mode: 0o755 },
  { kind: 'dir', path: 'tmp', mode: 0o1777 },
  { kind: 'symlink', path: 'agnhost-2', target: 'agnhost' },
]

async function listTar(path: string): Promise<string[]> {
  const listed: string[] = []
  for await (const entry of createReadStream(path).pipe(createGunzip()).pipe(extract())) {
    const { name, type, mode, linkname, mtime } = entry.header
    listed.push(
      `${type} ${mode?.toString(8)} ${name} ${linkname ?? ''} ${mtime?.getTime()}`.replace('  ', ' '),
    )
    entry.resume()
  }
  return listed
}

describe('a layer', () => {
  it('holds folders before their files and hard links after what they name, with no time of this machine', async () => {
    await writeLayer(entries, join(dir, 'layer'))
    expect(await listTar(join(dir, 'layer'))).toEqual([
      'symlink 777 agnhost-2 agnhost 0',
      'directory 755 bin 0',
      'file 755 bin/busybox 0',
      'directory 755 etc 0',
      'file 644 etc/passwd 0',
      'directory 1777 tmp 0',
      'link 755 bin/sh bin/busybox 0',
    ])
  })

  it('is the same bytes whatever order its entries come in', async () => {
    const one = await writeLayer(entries, join(dir, 'one'))
    const other = await writeLayer(entries.toReversed(), join(dir, 'other'))
    expect(other).toEqual(one)
    expect(await readFile(join(dir, 'other'))).toEqual(await readFile(join(dir, 'one')))
  })

  it('knows its digest and size', async () => {
    const blob = await writeLayer(entries, join(dir, 'layer'))
    const bytes = await readFile(join(dir, 'layer'))
    expect(blob.bytes).toBe(bytes.length)
    expect(blob.digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  })

  it('takes the content of files', async () => {
    await writeFile(join(dir, 'program'), 'x'.repeat(100_000))
    await writeLayer([{ kind: 'file', path: 'program', source: join(dir, 'program') }], join(dir, 'layer'))
    expect(await listTar(join(dir, 'layer'))).toEqual(['file 644 program 0'])
  })

  it('fails when a file is not there, instead of being half a layer', async () => {
    const missing: LayerEntry = { kind: 'file', path: 'program', source: join(dir, 'nowhere') }
    await expect(writeLayer([missing], join(dir, 'layer'))).rejects.toThrow('ENOENT')
  })
})

describe('an image layout', () => {
  const content = { layers: [entries], config: { Cmd: ['sh'] } }

  it('is read back with a configuration that names the layers by what is inside', async () => {
    await writeImageLayout(content, join(dir, 'image'), 'amd64')
    const layout = await readImageLayout(join(dir, 'image'))
    if (layout === undefined) throw new Error('no layout')
    const config = JSON.parse(
      await readFile(blobPath(join(dir, 'image'), layout.manifest.config.digest), 'utf8'),
    ) as { rootfs: { diff_ids: string[] } }
    const again = await writeLayer(entries, join(dir, 'layer'))
    expect(config).toMatchObject({ architecture: 'amd64', os: 'linux', config: { Cmd: ['sh'] } })
    expect(config.rootfs.diff_ids).toEqual([again.diffId])
    expect(layout.manifest.layers.map(({ digest }) => digest)).toEqual([again.digest])
  })

  it('is not there before it is whole, and leaves nothing when it fails', async () => {
    const broken: LayerEntry = { kind: 'file', path: 'x', source: join(dir, 'nowhere') }
    await expect(
      writeImageLayout({ layers: [[broken]], config: {} }, join(dir, 'image'), 'amd64'),
    ).rejects.toThrow()
    expect(await readImageLayout(join(dir, 'image'))).toBeUndefined()
    expect(await readdir(dir)).toEqual([])
  })

  it('that another process finished first is kept', async () => {
    await writeImageLayout(content, join(dir, 'image'), 'amd64')
    await writeImageLayout(content, join(dir, 'image'), 'amd64')
    expect(await readdir(dir)).toEqual(['image'])
  })
})

describe('pushing', () => {
  it('says which registry does not answer', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    const client = new RegistryClient(`http://127.0.0.1:${port}/`)
    await expect(client.resolve('pause', '1', signal)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(`http://127.0.0.1:${port} cannot be reached`),
    })
  })
})

describe('names', () => {
  it('of all images are what upstream calls them', () => {
    expect(imageRecipes.map(({ name }) => name)).toEqual([
      'registry.k8s.io/pause:3.10.2',
      'docker.io/library/busybox:1.37',
      'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
      'docker.io/library/nginx:1.29',
    ])
  })

  it('are split into host, repository and tag', () => {
    expect(parseImageName('docker.io/library/busybox:1.37')).toEqual({
      host: 'docker.io',
      repository: 'library/busybox',
      tag: '1.37',
    })
    expect(() => parseImageName('busybox:1.37')).toThrow('"busybox:1.37" is not a fully qualified image name')
  })

  it('of packages are read from a Depends field, the first of alternatives', () => {
    expect(dependencyNames('libc6 (>= 2.34), nginx-core | nginx-full, zlib1g:any (>= 1)\n')).toEqual([
      'libc6',
      'nginx-core',
      'zlib1g',
    ])
    expect(dependencyNames('\n')).toEqual([])
  })
})

describe('the mirror configuration', () => {
  it('asks our registry first and upstream after it', () => {
    expect(mirrorHostsToml('http://10.200.0.1:5000/', 'https://registry.k8s.io')).toBe(
      'server = "https://registry.k8s.io"\n\n[host."http://10.200.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n',
    )
  })

  it('covers every registry, and asks nobody who cannot be reached', async () => {
    const own = 'http://127.0.0.1:5000'
    await writeMirrorConfig(dir, own, new Set(['docker.io']))
    expect((await readdir(dir)).sort()).toEqual(['_default', 'docker.io', 'registry.k8s.io'])
    const text = async (host: string): Promise<string> =>
      await readFile(join(dir, host, 'hosts.toml'), 'utf8')
    expect(await text('docker.io')).toBe(mirrorHostsToml(own, 'https://registry-1.docker.io'))
    expect(await text('registry.k8s.io')).toBe(mirrorHostsToml(own, own))
    expect(await text('_default')).not.toContain('server')
  })
})
