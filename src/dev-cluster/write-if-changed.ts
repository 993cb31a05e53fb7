import { readFile, writeFile } from 'node:fs/promises'

/**
 * Writes a configuration file unless it has that content already: kube-proxy ends itself when its file is written, and
 * containerd reads its networks anew.
 */
export async function writeIfChanged(path: string, content: string): Promise<void> {
  if ((await readIfThere(path)) !== content) await writeFile(path, content)
}

/** As `writeIfChanged`, of JSON. */
export async function writeJsonIfChanged(path: string, value: object): Promise<void> {
  await writeIfChanged(path, `${JSON.stringify(value, null, 2)}\n`)
}

/** The text of a file, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
