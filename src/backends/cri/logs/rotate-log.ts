import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Clock } from '../../../model/clock.ts'
import { isMissing } from '../volumes/atomic-writer.ts'

export interface RotationPolicy {
  readonly maxBytes: number
  /** With the one that is being written. At least 2. */
  readonly maxFiles: number
}

/** kubelet's defaults. */
export const defaultRotation: RotationPolicy = { maxBytes: 10 * 1024 * 1024, maxFiles: 5 }

export interface RotateLogInput {
  readonly path: string
  readonly policy: RotationPolicy
  readonly clock: Clock
  /** CRI's ReopenContainerLog: the runtime makes the file anew. */
  readonly reopen: (signal: AbortSignal) => Promise<void>
}

/**
 * Rotates the log of a running container when it has grown too large; answers whether it did. The file before the
 * newest stays plain, so that log shippers can finish it; older ones are compressed.
 * To be called again and again for each running container, not twice in a second; one call at a time for one file.
 */
export async function rotateLog(input: RotateLogInput, signal: AbortSignal): Promise<boolean> {
  const { path, policy, reopen, clock } = input
  const sizeBytes = await sizeOf(path)
  if (sizeBytes === undefined) {
    // An earlier rotation of ours died between its two steps.
    await reopen(signal)
    return true
  }
  if (sizeBytes < policy.maxBytes) return false
  const kept = await removeOld(path, policy)
  for (const file of kept) if (!file.endsWith('.gz')) await compress(file, signal)
  const stamp = new Date(clock.wallMs()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
  const rotated = `${path}.${stamp}`
  await rename(path, rotated)
  try {
    await reopen(signal)
  } catch (error) {
    // Back, so that the runtime's file and ours are the same again, and the next round tries anew. Not over the file that
    // it may have made before its answer was lost: that one is written to.
    if ((await sizeOf(path)) === undefined) await rename(rotated, path)
    throw error
  }
  return true
}

/** Removes the log of a container that is gone, with all that was rotated of it. */
export async function removeLog(path: string): Promise<void> {
  for (const name of await rotatedFrom(path)) await rm(join(dirname(path), name), { force: true })
  await rm(path, { force: true })
}

/** The names of rotated files and drafts, oldest first. */
async function rotatedFrom(path: string): Promise<string[]> {
  try {
    const names = await readdir(dirname(path))
    return names.filter((name) => name.startsWith(`${basename(path)}.`)).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Removes drafts and all but the newest rotated files; answers those, oldest first. */
async function removeOld(path: string, policy: RotationPolicy): Promise<string[]> {
  const directory = dirname(path)
  const names = await rotatedFrom(path)
  const present = new Set(names)
  const useless = names.filter((name) => name.endsWith('.tmp') || present.has(`${name}.gz`))
  const usable = names.filter((name) => !useless.includes(name))
  // Besides the file that is being written and the one that is about to be rotated.
  const excess = usable.slice(0, Math.max(usable.length - (policy.maxFiles - 2), 0))
  for (const name of [...useless, ...excess]) await rm(join(directory, name), { force: true })
  return usable.slice(excess.length).map((name) => join(directory, name))
}

async function compress(file: string, signal: AbortSignal): Promise<void> {
  const { mode } = await stat(file)
  const draft = `${file}.tmp`
  await pipeline(createReadStream(file), createGzip(), createWriteStream(draft, { mode }), { signal })
  await rename(draft, `${file}.gz`)
  await rm(file)
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
