import { readFile, rename, writeFile } from 'node:fs/promises'

/**
 * By renaming: whoever reads sees the file as it was or as it is now, also after a crash of ours. Not flushed, which would
 * cost each start of a Pod several waits for the disk: when the machine itself loses power, a file that is a few seconds
 * old may be there and empty.
 */
export async function writeWhole(path: string, value: object): Promise<void> {
  await writeFile(draftOf(path), JSON.stringify(value), { mode: 0o600 })
  await rename(draftOf(path), path)
}

/** Where the file is written before it takes its name; one that is there already is written over. */
export function draftOf(path: string): string {
  return `${path}.new`
}

/** Whether a file could not be written because there is no room for it. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Undefined when there is no such file, or one that the machine's own end has left empty or in part. */
export async function readWhole(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (error) {
    // As if it had never been written: one Pod's file must not keep all Pods from being found.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
