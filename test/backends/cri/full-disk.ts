import { mkdir, rm, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Whoever writes into the file is told by the kernel that the disk is full; of files that are written whole, that is
 * their draft. Answers how to make room.
 */
export async function fillDiskAt(path: string): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true })
  await symlink('/dev/full', path)
  return async () => await rm(path, { force: true })
}
