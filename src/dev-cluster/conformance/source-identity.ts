import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** What a running Spillway is made of; a release lacks some of it. Docs and tests change nothing about it. */
const sources = ['bin', 'proto', 'src', 'package-lock.json']

/**
 * Twelve hexadecimal digits that change with any of Spillway's sources, committed or not: results count for just the code
 * that they were had with. A commit's hash would say nothing about a clone in which somebody is working.
 */
export async function sourceIdentity(packageRoot: string): Promise<string> {
  const hash = createHash('sha256')
  for (const path of await filesBelow(packageRoot, sources)) {
    hash.update(`${path}\0`).update(await readFile(join(packageRoot, path)))
  }
  return hash.digest('hex').slice(0, 12)
}

async function filesBelow(root: string, paths: readonly string[]): Promise<readonly string[]> {
  const files: string[] = []
  for (const path of paths.filter((entry) => existsSync(join(root, entry)))) {
    if ((await stat(join(root, path))).isFile()) files.push(path)
    else {
      const entries = (await readdir(join(root, path))).toSorted()
      files.push(
        ...(await filesBelow(
          root,
          entries.map((entry) => join(path, entry)),
        )),
      )
    }
  }
  return files
}
