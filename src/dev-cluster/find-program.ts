import { access, constants, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Environment } from './cache-dir.ts'

// A person's PATH on Debian has no sbin, though ip and nft live there.
const systemDirs = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** Folders to look for programs in, in order. Relative ones are left out: what runs must not depend on where we stand. */
export function searchPath(environment: Environment): readonly string[] {
  const own = (environment['PATH'] ?? '').split(delimiter).filter(isAbsolute)
  return [...new Set([...own, ...systemDirs])]
}

/** The first executable file of that name. */
export async function findProgram(name: string, dirs: readonly string[]): Promise<string | undefined> {
  for (const dir of dirs) {
    const path = join(dir, name)
    if (await isExecutable(path)) return path
  }
  return undefined
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
