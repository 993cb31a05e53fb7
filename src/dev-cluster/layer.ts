import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack } from 'tar-stream'
import type { Pack } from 'tar-stream'

type EntryHeader = Parameters<Pack['entry']>[0]

/** A path in an image's root file system, without a leading slash. All belong to root. */
export type LayerEntry =
  | { readonly kind: 'dir'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  /** The same file under another name, as busybox's applets are. */
  | { readonly kind: 'hardlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'text'; readonly path: string; readonly text: string; readonly mode?: number }
  | { readonly kind: 'bytes'; readonly path: string; readonly bytes: Buffer; readonly mode?: number }
  | { readonly kind: 'file'; readonly path: string; readonly source: string; readonly mode?: number }

export interface LayerBlob {
  /** Of the compressed file, as `sha256:…`. */
  readonly digest: string
  readonly bytes: number
  /** Digest of the tar inside, which an image's configuration names. */
  readonly diffId: string
}

/**
 * Writes the entries as a gzipped tar. The same entries give the same bytes whatever order they come in and whenever
 * it is: nothing is recorded of this machine. Folders that entries need and nobody listed are added.
 */
export async function writeLayer(entries: readonly LayerEntry[], path: string): Promise<LayerBlob> {
  const tar = pack()
  const inside = createHash('sha256')
  const outside = createHash('sha256')
  let bytes = 0
  const written = pipeline(
    tar as unknown as Readable,
    tap((chunk) => inside.update(chunk)),
    // 6 is three times slower than 1 and would save a fifth, on a registry that is on this machine.
    createGzip({ level: 1 }),
    tap((chunk) => {
      outside.update(chunk)
      bytes += chunk.length
    }),
    createWriteStream(path),
  )
  const filled = fill(tar, inOrder(entries)).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  })
  await Promise.all([written, filled])
  return {
    digest: `sha256:${outside.digest('hex')}`,
    bytes,
    diffId: `sha256:${inside.digest('hex')}`,
  }
}

function tap(look: (chunk: Buffer) => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      look(chunk)
      done(null, chunk)
    },
  })
}

/** Sorted by path, a folder before what is in it; hard links last, since a tar must hold what they name before. */
export function inOrder(entries: readonly LayerEntry[]): readonly LayerEntry[] {
  const byPath = new Map<string, LayerEntry>()
  for (const { path } of entries) {
    const parts = path.split('/')
    for (let length = 1; length < parts.length; length++) {
      const dir = parts.slice(0, length).join('/')
      byPath.set(dir, { kind: 'dir', path: dir })
    }
  }
  for (const entry of entries) byPath.set(entry.path, entry)
  const rank = (entry: LayerEntry): number => (entry.kind === 'hardlink' ? 1 : 0)
  // By code unit: a locale's order would be this machine's.
  return [...byPath.values()].sort(
    (a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0),
  )
}

async function fill(tar: Pack, entries: readonly LayerEntry[]): Promise<void> {
  for (const entry of entries) await add(tar, entry)
  tar.finalize()
}

async function add(tar: Pack, entry: LayerEntry): Promise<void> {
  const common = { uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(0) }
  switch (entry.kind) {
    case 'dir':
      return addWhole(tar, { ...common, name: entry.path, type: 'directory', mode: entry.mode ?? 0o755 })
    case 'symlink':
      return addWhole(tar, {
        ...common,
        name: entry.path,
        type: 'symlink',
        linkname: entry.target,
        mode: 0o777,
      })
    case 'hardlink':
      return addWhole(tar, { ...common, name: entry.path, type: 'link', linkname: entry.target, mode: 0o755 })
    case 'text':
      return addWhole(
        tar,
        { ...common, name: entry.path, mode: entry.mode ?? 0o644 },
        Buffer.from(entry.text),
      )
    case 'bytes':
      return addWhole(tar, { ...common, name: entry.path, mode: entry.mode ?? 0o644 }, entry.bytes)
    case 'file':
      return addFile(tar, { ...common, name: entry.path, mode: entry.mode ?? 0o644 }, entry.source)
  }
}

async function addWhole(tar: Pack, headers: EntryHeader, content?: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  tar.entry(headers, content ?? Buffer.alloc(0), (error) => (error ? reject(error) : resolve()))
  return promise
}

async function addFile(tar: Pack, headers: EntryHeader, source: string): Promise<void> {
  const { size } = await stat(source)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const entry = tar.entry({ ...headers, size }, (error) => (error ? reject(error) : resolve()))
  await Promise.all([pipeline(createReadStream(source), entry), promise])
}
