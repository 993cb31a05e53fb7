import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack, type Pack } from 'tar-stream'
import {
  blobPath,
  imageArchitecture,
  type Descriptor,
  type ImageManifest,
} from '../../../src/dev-cluster/oci-layout.ts'
import { RegistryClient } from '../../../src/dev-cluster/registry-client.ts'

/** Written into a layer as it stands: any name, any kind, in this order. */
export interface TarEntry {
  readonly name: string
  /** A file unless told. */
  readonly type?: 'directory' | 'symlink' | 'link' | 'character-device' | 'block-device' | 'fifo'
  readonly linkname?: string
  readonly content?: string | Buffer
  /** In place of content. */
  readonly zeroMegabytes?: number
  readonly mode?: number
  readonly device?: readonly [major: number, minor: number]
}

export interface PressedImage {
  readonly repository: string
  /** Each is put on those of the embedded cluster's busybox. */
  readonly layers: readonly (readonly TarEntry[])[]
  readonly config?: Readonly<Record<string, unknown>>
  /** What the manifest says that is not so; `last` is the uppermost layer. */
  readonly sizes?: { readonly last?: number; readonly config?: number }
  /** In place of a tar. */
  readonly lastLayerBytes?: Buffer
}

interface Blob {
  readonly descriptor: Descriptor
  /** Digest of what is compressed in it. */
  readonly diffId: string
}

interface Base {
  readonly layers: readonly Descriptor[]
  readonly diffIds: readonly string[]
}

const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
}
const busybox = 'library/busybox'
const busyboxTag = '1.37'

/** Makes images that no builder would make, and pushes them to a cluster's registry. */
export class ImagePress {
  readonly #registryUrl: string
  readonly #registry: RegistryClient
  readonly #dir: string
  readonly #pushed = new Set<string>()
  #base: Promise<Base> | undefined

  /** `dir` is for blobs on their way, and is the caller's to remove. */
  constructor({ registryUrl, dir }: { readonly registryUrl: string; readonly dir: string }) {
    this.#registryUrl = registryUrl
    this.#registry = new RegistryClient(registryUrl)
    this.#dir = dir
  }

  /** Resolves to the digest of the uppermost layer; to undefined when it has been pushed before. */
  async push(image: PressedImage, signal: AbortSignal): Promise<string | undefined> {
    if (this.#pushed.has(image.repository)) return undefined
    await mkdir(join(this.#dir, 'blobs/sha256'), { recursive: true })
    this.#base ??= this.#fetchBase(signal)
    const base = await this.#base
    const own: Blob[] = []
    for (const entries of image.layers) own.push(await this.#layer((tar) => fill(tar, entries)))
    if (image.lastLayerBytes) own.push(await this.#bytes(types.layer, image.lastLayerBytes))
    const config = await this.#json(types.config, {
      architecture: imageArchitecture(process.arch),
      os: 'linux',
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: [...base.diffIds, ...own.map(({ diffId }) => diffId)] },
    })
    const layers = [...base.layers, ...own.map(({ descriptor }) => descriptor)]
    const honest: ImageManifest = { schemaVersion: 2, mediaType: types.manifest, config, layers }
    await this.#tag(image.repository, honest, signal)
    const { sizes } = image
    if (sizes) {
      const said = (descriptor: Descriptor, size: number | undefined): Descriptor =>
        size === undefined ? descriptor : { ...descriptor, size }
      const lying = {
        ...honest,
        config: said(config, sizes.config),
        layers: layers.map((layer, at) => (at === layers.length - 1 ? said(layer, sizes.last) : layer)),
      }
      await this.#tag(image.repository, lying, signal)
    }
    this.#pushed.add(image.repository)
    return layers.at(-1)?.digest
  }

  async #tag(repository: string, manifest: ImageManifest, signal: AbortSignal): Promise<void> {
    const manifestBytes = Buffer.from(JSON.stringify(manifest))
    const image = { repository, tag: '1', layoutDir: this.#dir, manifest, manifestBytes }
    await this.#registry.push(image, signal)
  }

  async #fetchBase(signal: AbortSignal): Promise<Base> {
    const get = async (path: string): Promise<Buffer> => {
      const url = `${this.#registryUrl}/v2/${busybox}/${path}`
      const answer = await fetch(url, { headers: { accept: types.manifest }, signal })
      if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
      return Buffer.from(await answer.arrayBuffer())
    }
    const manifest = JSON.parse(String(await get(`manifests/${busyboxTag}`))) as ImageManifest
    for (const { digest } of manifest.layers)
      await writeFile(blobPath(this.#dir, digest), await get(`blobs/${digest}`))
    const config = JSON.parse(String(await get(`blobs/${manifest.config.digest}`))) as {
      readonly rootfs: { readonly diff_ids: readonly string[] }
    }
    return { layers: manifest.layers, diffIds: config.rootfs.diff_ids }
  }

  async #layer(fillIn: (tar: Pack) => Promise<void>): Promise<Blob> {
    const tar = pack()
    const inside = createHash('sha256')
    const unnamed = join(this.#dir, 'layer')
    const tapped = async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        inside.update(chunk)
        yield chunk
      }
    }
    const written = pipeline(
      tar as unknown as Readable,
      tapped,
      createGzip({ level: 1 }),
      createWriteStream(unnamed),
    )
    await Promise.all([written, fillIn(tar)])
    const outside = createHash('sha256')
    await pipeline(createReadStream(unnamed), outside)
    const digest = `sha256:${outside.digest('hex')}`
    const { size } = await stat(unnamed)
    await rename(unnamed, blobPath(this.#dir, digest))
    const descriptor = { mediaType: types.layer, digest, size }
    return { descriptor, diffId: `sha256:${inside.digest('hex')}` }
  }

  async #json(mediaType: string, value: object): Promise<Descriptor> {
    return (await this.#bytes(mediaType, Buffer.from(JSON.stringify(value)))).descriptor
  }

  async #bytes(mediaType: string, bytes: Buffer): Promise<Blob> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    await writeFile(blobPath(this.#dir, digest), bytes)
    return { descriptor: { mediaType, digest, size: bytes.length }, diffId: digest }
  }
}

async function fill(tar: Pack, entries: readonly TarEntry[]): Promise<void> {
  for (const { content = '', zeroMegabytes, device, type, ...entry } of entries) {
    const [devmajor, devminor] = device ?? [0, 0]
    const header = { mode: 0o755, ...entry, type: type ?? 'file', devmajor, devminor } as const
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const ended = (error?: Error | null): void => (error ? reject(error) : resolve())
    if (zeroMegabytes === undefined) tar.entry(header, Buffer.from(content), ended)
    else await addZeros(tar.entry({ ...header, size: zeroMegabytes << 20 }, ended), zeroMegabytes)
    await promise
  }
  tar.finalize()
}

async function addZeros(entry: NodeJS.WritableStream, megabytes: number): Promise<void> {
  const zeros = Buffer.alloc(1 << 20)
  await pipeline(function* () {
    for (let count = 0; count < megabytes; count++) yield zeros
  }, entry)
}
