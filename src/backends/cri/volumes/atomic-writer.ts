import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { SpillwayError } from '../../../model/errors.ts'

/** One file of a volume. */
export interface ProjectedFile {
  readonly data: Uint8Array
  /** Permission bits. */
  readonly mode: number
  /** Owner; left out: the process's own. */
  readonly uid?: number
}

/** Files by path relative to the volume. */
export type Payload = ReadonlyMap<string, ProjectedFile>

export interface AtomicWrite {
  readonly directory: string
  readonly payload: Payload
  /** Wall time, for the name of the data directory. */
  readonly nowMs: number
  /** Called with the new data directory in place beside the old one, before the swap. */
  readonly setOwnership: () => Promise<void>
}

const dataLink = '..data'
const nextDataLink = '..data_tmp'
const dataDirectoryPattern = /^\.\.\d{4}_/

/**
 * Swaps a volume's files all at once, so that a reader never sees half of an update: files lie in a directory of their
 * own, `..data` points to it, and what users see are links through `..data` (the scheme of kubelet's AtomicWriter,
 * which programs in containers rely on). Writes nothing when nothing changed. Answers whether it did.
 *
 * Unlike kubelet's, it clears away what a crash in the middle left behind, else `..data_tmp` would block for ever.
 */
export async function writeAtomically(write: AtomicWrite): Promise<boolean> {
  const { directory } = write
  const payload = validated(write.payload)
  const current = await currentDataDirectory(directory)
  await removeLeftovers(directory, current)
  const changed = current === undefined || (await differs(payload, join(directory, current)))
  if (changed) {
    const next = await writeDataDirectory(directory, payload, write.nowMs)
    try {
      await write.setOwnership()
      await symlink(next, join(directory, nextDataLink))
      await rename(join(directory, nextDataLink), join(directory, dataLink))
    } catch (error) {
      await rm(join(directory, next), { recursive: true, force: true })
      throw error
    }
  }
  await linkVisibleNames(directory, payload)
  if (changed && current !== undefined) await rm(join(directory, current), { recursive: true, force: true })
  return changed
}

function validated(payload: Payload): Map<string, ProjectedFile> {
  const clean = new Map<string, ProjectedFile>()
  for (const [path, file] of payload) {
    const parts = path.split('/')
    const tooLong = path.length > 4096 || parts.some((part) => part.length > 255)
    if (path === '' || path.startsWith('/') || parts.includes('..') || path.startsWith('..') || tooLong) {
      throw new SpillwayError(
        'Rejected',
        `invalid path "${path}": must be relative, not begin with or contain "..", names at most 255 and the whole at most 4096 characters`,
      )
    }
    clean.set(normalize(path), file)
  }
  return clean
}

async function currentDataDirectory(directory: string): Promise<string | undefined> {
  try {
    return await readlink(join(directory, dataLink))
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function removeLeftovers(directory: string, current: string | undefined): Promise<void> {
  for (const name of await readdir(directory)) {
    const stale = name === nextDataLink || (dataDirectoryPattern.test(name) && name !== current)
    if (stale) await rm(join(directory, name), { recursive: true, force: true })
  }
}

/** Only contents and names count, as in kubelet: modes are fixed for the life of a volume. */
async function differs(payload: Payload, dataDirectory: string): Promise<boolean> {
  const present = new Set(await filesBelow(dataDirectory))
  if (present.size !== payload.size) return true
  for (const [path, file] of payload) {
    if (!present.has(path)) return true
    if (Buffer.compare(await readFile(join(dataDirectory, path)), file.data) !== 0) return true
  }
  return false
}

async function filesBelow(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

async function writeDataDirectory(directory: string, payload: Payload, nowMs: number): Promise<string> {
  const stamp = new Date(nowMs).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '_')
  const name = `..${stamp}.${randomBytes(5).readUIntBE(0, 5)}`
  const path = join(directory, name)
  await mkdir(path)
  await chmod(path, 0o755)
  for (const [relative, file] of payload) await writeFileWithMode(join(path, relative), file)
  return name
}

async function writeFileWithMode(path: string, file: ProjectedFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o777 })
  // Two paths of one payload cannot meet, so the file is new: never follow a link that someone put there.
  const handle = await open(path, 'wx', file.mode)
  try {
    await handle.writeFile(file.data)
    // The mode given to open() goes through the umask.
    await handle.chmod(file.mode)
  } finally {
    await handle.close()
  }
  if (file.uid !== undefined) await chown(path, file.uid, -1)
}

async function linkVisibleNames(directory: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split('/', 1)[0] ?? path))
  for (const name of wanted) {
    if (!(await exists(join(directory, name)))) await symlink(join(dataLink, name), join(directory, name))
  }
  for (const name of await readdir(directory)) {
    if (!name.startsWith('..') && !wanted.has(name) && (await pointsIntoData(join(directory, name)))) {
      await rm(join(directory, name), { force: true })
    }
  }
}

/** Mount points of other volumes that lie inside this one are directories of the runtime: not ours to remove. */
async function pointsIntoData(path: string): Promise<boolean> {
  const stats = await lstat(path)
  return stats.isSymbolicLink() && (await readlink(path)).startsWith(`${dataLink}/`)
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
