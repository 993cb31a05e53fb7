import { readFile, rename, writeFile } from 'node:fs/promises'

/** By renaming: whoever reads sees the file as it was or as it is now, also after a crash. */
export async function writeWhole(path: string, value: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o640 })
  await rename(`${path}.new`, path)
}

/** Whether a file could not be written because there is no room for it. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Undefined when there is no such file. */
export async function readWhole(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
