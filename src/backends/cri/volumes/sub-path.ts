import { constants } from 'node:fs'
import { lstat, mkdir, open, realpath, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { RunCommand } from '../command-shell.ts'
import { isMissing } from './atomic-writer.ts'
import { bindMount, isBelow, isMountPoint, unmountBelow } from './mounts.ts'

export interface SubPath {
  readonly volumeDirectory: string
  /** Relative, without `..` (the API server checks; checked again). */
  readonly path: string
  /** Where the checked directory or file is bound to; made here. */
  readonly target: string
  readonly run: RunCommand
}

/**
 * A container that shares the volume may swap a directory for a link to the host's root between our check and the
 * runtime's mount (CVE-2017-1002101, CVE-2021-25741). So the path is opened part by part without following links, and
 * what was opened, not its name, is bound to a place that no container reaches; that place is what gets mounted.
 */
export async function bindSubPath(subPath: SubPath, signal: AbortSignal): Promise<void> {
  const { volumeDirectory, path, target, run } = subPath
  if (path.startsWith('/') || path.split('/').includes('..')) {
    throw new SpillwayError('Rejected', `subPath "${path}": must be relative and not contain ".."`)
  }
  const root = await realpath(volumeDirectory)
  await makeDirectories(root, path)
  // Links inside the volume are fine (every ConfigMap file is one); the resolved path is then walked without any.
  const resolved = await realpath(join(root, path))
  if (!isBelow(resolved, root)) throw escaped(path)
  const handle = await openBelow(root, relative(root, resolved), path)
  try {
    const source = await handle.stat()
    if (await isMountPoint(target)) {
      const bound = await stat(target)
      if (bound.dev === source.dev && bound.ino === source.ino) return
      // An updated ConfigMap: a restarted container gets the file of now.
      await unmountBelow(target, run, signal)
    }
    await makeTarget(target, source.isDirectory())
    await bindMount({ source: `/proc/${process.pid}/fd/${handle.fd}`, target, run }, signal)
  } finally {
    await handle.close()
  }
}

/** Makes what is missing, with the mode of the volume itself, as kubelet does. */
async function makeDirectories(root: string, path: string): Promise<void> {
  let existing: string
  try {
    existing = await realpath(join(root, path))
    if (!isBelow(existing, root)) throw escaped(path)
    return
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  const mode = (await lstat(root)).mode & 0o7777
  let handle = await openBelow(root, '', path)
  try {
    for (const part of path.split('/').filter((part) => part !== '' && part !== '.')) {
      const below = `/proc/self/fd/${handle.fd}/${part}`
      const isNew = await makeDirectory(below, mode)
      const next = await openPart(below, path)
      await handle.close()
      handle = next
      // Past the umask.
      if (isNew) await handle.chmod(mode)
    }
  } finally {
    await handle.close()
  }
}

/** Opens what lies below, part by part, and follows no link on the way. `path` is for the error. */
export async function openBelow(root: string, below: string, path: string): Promise<FileHandle> {
  let handle = await openPart(root, path)
  for (const part of below.split('/').filter((part) => part !== '')) {
    try {
      const next = await openPart(`/proc/self/fd/${handle.fd}/${part}`, path)
      await handle.close()
      handle = next
    } catch (error) {
      await handle.close()
      throw error
    }
  }
  return handle
}

async function openPart(part: string, path: string): Promise<FileHandle> {
  try {
    // NONBLOCK: a FIFO in the volume must not hold us up.
    return await open(part, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw new SpillwayError('Rejected', `subPath "${path}" cannot be opened safely: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

async function makeTarget(target: string, isDirectory: boolean): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o750 })
  if (isDirectory) await mkdir(target, { recursive: true, mode: 0o750 })
  else await writeFile(target, '', { flag: 'a' })
}

function escaped(path: string): SpillwayError {
  return new SpillwayError('Rejected', `subPath "${path}" leads out of its volume`)
}

async function makeDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
