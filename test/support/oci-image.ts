import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import { pack, type Pack } from 'tar-stream'

export interface ImageFile {
  readonly path: string
  readonly content?: Buffer
  readonly linkTo?: string
  readonly directory?: boolean
  readonly mode?: number
}

export interface ImageSpec {
  /** Fully qualified, as in `docker.io/library/busybox:1.37`. */
  readonly name: string
  readonly files: readonly ImageFile[]
  readonly config?: Readonly<Record<string, unknown>>
}

/** Writes an OCI archive that `ctr images import` takes. */
export async function writeOciArchive(path: string, { name, files, config = {} }: ImageSpec): Promise<void> {
  const layer = await tarOf((tar) => files.forEach((file) => addFile(tar, file)))
  const compressed = gzipSync(layer, { level: 1 })
  const image = json({
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [digest(layer)] },
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: describe('application/vnd.oci.image.config.v1+json', image),
    layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', compressed)],
  })
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.split(':').at(-1),
  }
  const index = json({
    schemaVersion: 2,
    manifests: [{ ...describe('application/vnd.oci.image.manifest.v1+json', manifest), annotations }],
  })
  const archive = pack()
  archive.entry({ name: 'oci-layout' }, json({ imageLayoutVersion: '1.0.0' }))
  archive.entry({ name: 'index.json' }, index)
  for (const blob of [compressed, image, manifest]) {
    archive.entry({ name: `blobs/sha256/${digest(blob).slice(7)}` }, blob)
  }
  archive.finalize()
  await pipeline(archive, createWriteStream(path))
}

function addFile(tar: Pack, { path, content, linkTo, directory, mode }: ImageFile): void {
  if (directory) tar.entry({ name: path, type: 'directory', mode: mode ?? 0o755 })
  else if (linkTo) tar.entry({ name: path, type: 'symlink', linkname: linkTo })
  else tar.entry({ name: path, mode: mode ?? 0o755 }, content ?? Buffer.alloc(0))
}

async function tarOf(fill: (tar: Pack) => void): Promise<Buffer> {
  const tar = pack()
  fill(tar)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function describe(mediaType: string, bytes: Buffer): object {
  return { mediaType, digest: digest(bytes), size: bytes.length }
}
