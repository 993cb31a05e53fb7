import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readImageLayout, writeImageLayout } from '../../src/dev-cluster/oci-layout.ts'
import { RegistryClient } from '../../src/dev-cluster/registry-client.ts'

const { signal } = new AbortController()

/** The pushing half of the distribution API, as its specification has it; keeps what arrived, in order. */
class Registry {
  readonly blobs = new Set<string>()
  readonly manifests = new Map<string, Buffer>()
  readonly writes: string[] = []
  /** The next PUT is answered with this. */
  failure: number | undefined

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://registry')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    const key = url.pathname
    if (request.method === 'HEAD') {
      const manifest = this.manifests.get(key)
      const known = manifest !== undefined || this.blobs.has(key.split('/').at(-1) ?? '')
      if (manifest) {
        const header = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
        response.setHeader('docker-content-digest', header)
      }
      response.writeHead(known ? 200 : 404).end()
    } else if (request.method === 'POST') {
      response.writeHead(202, { location: `${key}one?_state=abc` }).end()
    } else if (this.failure !== undefined) {
      response.writeHead(this.failure).end('disk full')
    } else if (key.includes('/manifests/')) {
      this.manifests.set(key, body)
      this.writes.push('manifest')
      response.writeHead(201).end()
    } else {
      const fits = url.searchParams.get('digest') === digest && url.searchParams.get('_state') === 'abc'
      if (fits) this.blobs.add(digest)
      this.writes.push('blob')
      response.writeHead(fits ? 201 : 400).end()
    }
  }
}

let dir: string
let server: Server
let registry: Registry
let client: RegistryClient

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-registry-'))
  registry = new Registry()
  const { promise: listening, resolve } = Promise.withResolvers<void>()
  server = createServer((request, response) => void registry.answer(request, response))
  server.listen(0, '127.0.0.1', resolve)
  await listening
  client = new RegistryClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await rm(dir, { recursive: true })
})

async function push(tag: string): Promise<string> {
  const layoutDir = join(dir, 'image')
  const layer = [{ kind: 'text', path: 'hello', text: 'hello\n' }] as const
  await writeImageLayout({ layers: [layer], config: {} }, layoutDir, 'amd64')
  const layout = await readImageLayout(layoutDir)
  if (layout === undefined) throw new Error('no layout')
  const { manifest, bytes } = layout
  await client.push({ repository: 'library/hello', tag, layoutDir, manifest, manifestBytes: bytes }, signal)
  return layout.descriptor.digest
}

describe('an image pushed to a registry', () => {
  it('is not there before and is found by its digest after', async () => {
    expect(await client.resolve('library/hello', '1', signal)).toBeUndefined()
    const digest = await push('1')
    expect(await client.resolve('library/hello', '1', signal)).toBe(digest)
  })

  it('is tagged only once all its blobs are there', async () => {
    await push('1')
    expect(registry.writes).toEqual(['blob', 'blob', 'manifest'])
  })

  it('uploads no blob twice', async () => {
    await push('1')
    await push('2')
    expect(registry.writes).toEqual(['blob', 'blob', 'manifest', 'manifest'])
  })

  it('is not tagged when a blob is refused, and the refusal is told', async () => {
    registry.failure = 507
    await expect(push('1')).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringMatching(/answered 507 while uploading sha256:.* to library\/hello: disk full/),
    })
    expect(registry.manifests.size).toBe(0)
  })
})
