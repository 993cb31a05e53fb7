import type { BigIntStats } from 'node:fs'
import { lstat, opendir, statfs } from 'node:fs/promises'
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

/**
 * What a directory or file takes on its file system, itself included, as `du -x` counts: blocks, each inode once, no
 * further than the mount. One operation at a time: a Pod with a million files must not fill the thread pool that every
 * other file access of the process waits for. Nothing when it is not there; what vanishes meanwhile does not count.
 */
export async function diskUse(path: string, signal: AbortSignal): Promise<DiskUse> {
  const top = await statOf(path)
  if (!top) return { usedBytes: 0n, usedInodes: 0n }
  const walk: Walk = { device: top.dev, linked: new Set(), blocks: 0n, inodes: 0n }
  await count(path, top, walk, signal)
  return { usedBytes: walk.blocks * blockBytes, usedInodes: walk.inodes }
}

interface Walk {
  readonly device: bigint
  /** Inodes with more than one name that have been counted. */
  readonly linked: Set<bigint>
  blocks: bigint
  inodes: bigint
}

async function count(path: string, stats: BigIntStats, walk: Walk, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (stats.dev !== walk.device) return
  if (stats.nlink > 1n && !stats.isDirectory()) {
    if (walk.linked.has(stats.ino)) return
    walk.linked.add(stats.ino)
  }
  walk.blocks += stats.blocks
  walk.inodes += 1n
  if (!stats.isDirectory()) return
  try {
    for await (const { name } of await opendir(path)) {
      const child = await statOf(join(path, name))
      if (child) await count(join(path, name), child, walk, signal)
    }
  } catch (error) {
    if (!isMissing(error)) throw error
  }
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
