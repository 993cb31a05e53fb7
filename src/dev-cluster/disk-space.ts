import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SpillwayError } from '../model/errors.ts'

export interface SpaceNeed {
  readonly dir: string
  readonly megabytes: number
}

/**
 * Rejects with `Environment` when a file system has less room than all needs on it together. The folders need not
 * exist yet.
 */
export async function requireDiskSpace(needs: readonly SpaceNeed[]): Promise<void> {
  const byDevice = new Map<number, { dir: string; megabytes: number }>()
  for (const need of needs) {
    const dir = await nearestExisting(need.dir)
    const { dev } = await stat(dir)
    const earlier = byDevice.get(dev)
    if (earlier === undefined) byDevice.set(dev, { dir, megabytes: need.megabytes })
    else earlier.megabytes += need.megabytes
  }
  for (const { dir, megabytes } of byDevice.values()) {
    const { bavail, bsize } = await statfs(dir)
    const freeMegabytes = (bavail * bsize) / 1e6
    if (freeMegabytes < megabytes) {
      throw new SpillwayError('Environment', diskSpaceSentence(dir, megabytes, freeMegabytes))
    }
  }
}

/** The sentence for a file system that is too full. */
export function diskSpaceSentence(dir: string, neededMegabytes: number, freeMegabytes: number): string {
  const gigabytes = (megabytes: number): string => (megabytes / 1000).toFixed(1)
  return `The disk that holds ${dir} has ${gigabytes(freeMegabytes)} GB free, and the first build needs about ${gigabytes(neededMegabytes)} GB: free some space, or set XDG_CACHE_HOME, GOCACHE and GOMODCACHE to a larger disk, and run this again.`
}

async function nearestExisting(dir: string): Promise<string> {
  try {
    await stat(dir)
    return dir
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return nearestExisting(dirname(dir))
  }
}
