import { readFile, rename, writeFile } from 'node:fs/promises'

/** By renaming: whoever reads sees the file as it was or as it is now, also after a crash. */
export async function writeWhole(path: string, value: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o640 })
  await rename(`${path}.new`, path)
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
