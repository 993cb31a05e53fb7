import { constants, type BigIntStats } from 'node:fs'
import { lstat, open, opendir, statfs, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { FilesystemUsage } from '../../../model/pod-usage.ts'
import { isMissing } from '../volumes/atomic-writer.ts'

export interface DiskUse {
  readonly usedBytes: bigint
  readonly usedInodes: bigint
}

/** Whether two paths lie on one file system; false when one of them is not there. */
export async function onSameDisk(path: string, other: string): Promise<boolean> {
  const [one, two] = await Promise.all([statOf(path), statOf(other)])
  return one !== undefined && one.dev === two?.dev
}

/** What stat counts blocks in, whatever the file system's own are. */
const blockBytes = 512n

/** Every level down is an open file. What lies deeper is not counted; it is longer a way than a path can be. */
const deepestLevel = 2048

/**
 * What a directory or file takes on its file system, itself included, as `du -x` counts: blocks, each inode once, no
 * further than the mount. One operation at a time: a Pod with a million files must not fill the thread pool that every
 * other file access of the process waits for. Nothing when it is not there; what vanishes meanwhile does not count.
 * Containers write there meanwhile: a directory that they change for a link to the machine's files is not followed.
 */
export async function diskUse(path: string, signal: AbortSignal): Promise<DiskUse> {
  const top = await statOf(path)
  if (!top) return { usedBytes: 0n, usedInodes: 0n }
  const walk: Walk = { device: top.dev, linked: new Set(), blocks: 0n, inodes: 0n }
  if (!top.isDirectory()) countOne(top, walk)
  else await countDirectory(path, { walk, level: 0 }, signal)
  return { usedBytes: walk.blocks * blockBytes, usedInodes: walk.inodes }
}

interface Walk {
  readonly device: bigint
  /** Inodes with more than one name that have been counted. */
  readonly linked: Set<bigint>
  blocks: bigint
  inodes: bigint
}

function countOne(stats: BigIntStats, walk: Walk): void {
  if (stats.nlink > 1n && !stats.isDirectory()) {
    if (walk.linked.has(stats.ino)) return
    walk.linked.add(stats.ino)
  }
  walk.blocks += stats.blocks
  walk.inodes += 1n
}

/** What was opened is read, whatever its name leads to by then: each part of the way down is held open. */
async function countDirectory(
  path: string,
  { walk, level }: { readonly walk: Walk; readonly level: number },
  signal: AbortSignal,
): Promise<void> {
  const handle = await openDirectory(path)
  if (!handle) return
  try {
    const stats = await handle.stat({ bigint: true })
    if (stats.dev !== walk.device) return
    countOne(stats, walk)
    if (level === deepestLevel) return
    const here = `/proc/self/fd/${handle.fd}`
    for (const name of await countFiles(here, walk, signal))
      await countDirectory(join(here, name), { walk, level: level + 1 }, signal)
  } finally {
    await handle.close()
  }
}

/** Answers the names of the directories in it, which are not counted yet. */
async function countFiles(directory: string, walk: Walk, signal: AbortSignal): Promise<readonly string[]> {
  const directories: string[] = []
  for await (const { name } of await opendir(directory)) {
    signal.throwIfAborted()
    const child = await statOf(join(directory, name))
    if (child?.isDirectory()) directories.push(name)
    else if (child?.dev === walk.device) countOne(child, walk)
  }
  return directories
}

/** Undefined when it is gone, or is no directory any more. */
async function openDirectory(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    if (isMissing(error) || isNoDirectory(error)) return undefined
    throw error
  }
}

function isNoDirectory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTDIR' || error.code === 'ELOOP')
}

/** Of the link, not of where it leads: what is behind it is counted there. */
async function statOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export type FilesystemRoom = Required<Omit<FilesystemUsage, 'atMs' | 'usedBytes' | 'usedInodes'>>

/** The room on the file system of a path, as a user without privileges has it. */
export async function filesystemRoom(path: string): Promise<FilesystemRoom> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(path, { bigint: true })
  return {
    capacityBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    inodes: files,
    freeInodes: ffree,
  }
}

/** The whole of the file system of a path. */
export async function filesystemUsage(path: string, atMs: number): Promise<FilesystemUsage> {
  const { blocks, bfree, bsize, files, ffree } = await statfs(path, { bigint: true })
  const room = await filesystemRoom(path)
  return { atMs, usedBytes: (blocks - bfree) * bsize, usedInodes: files - ffree, ...room }
}
