import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { formsOf, type Planted } from './planted.ts'
import type { Story } from './story.ts'

export interface FoundFile {
  readonly path: string
  /** By name. */
  readonly secrets: readonly string[]
}

/**
 * Looks for secrets in every file below the folders, as processes of the cluster see them: what is mounted there is
 * searched, too. Not in the file systems that containers see as theirs, which are the same files once more.
 */
export async function searchFiles(
  { running, signal }: Story,
  folders: readonly string[],
  secrets: readonly Planted[],
): Promise<FoundFile[]> {
  const nameOf = new Map(secrets.flatMap(({ name, value }) => formsOf(value).map((form) => [form, name])))
  const patterns = join(tmpdir(), `spillway-planted-${process.pid}`)
  await writeFile(patterns, [...nameOf.keys()].join('\n'), { mode: 0o600 })
  try {
    const grep = 'LC_ALL=C grep -raoHsF --devices=skip --exclude-dir=rootfs -f "$0" "$@" | sort -u'
    const { stdout, stderr } = await running.exec(['sh', '-c', grep, patterns, ...folders], signal)
    if (stderr !== '') throw new Error(`files could not be searched: ${stderr}`)
    const found = new Map<string, Set<string>>()
    for (const line of stdout.split('\n').filter(Boolean)) {
      const colon = line.lastIndexOf(':')
      const [path, form] = [line.slice(0, colon), line.slice(colon + 1)]
      found.set(path, (found.get(path) ?? new Set()).add(nameOf.get(form) ?? `?${form}`))
    }
    return [...found].map(([path, names]) => ({ path, secrets: [...names].sort() }))
  } finally {
    await rm(patterns)
  }
}

/** How a file lies there. */
export interface FileGuard {
  /** Nobody but its owner may read it. */
  readonly isOwners: boolean
  /** So, or nobody else comes through one of the folders on the way. */
  readonly isShut: boolean
  readonly isInMemory: boolean
}

export async function guardOf({ running, signal }: Story, path: string): Promise<FileGuard> {
  const onTheWay = [path]
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) onTheWay.push(folder)
  const modes = await running.exec(['stat', '-c', '%a', ...onTheWay], signal)
  const isOwners = modes.stdout
    .trim()
    .split('\n')
    .map((mode) => (Number.parseInt(mode, 8) & 0o077) === 0)
  const { stdout } = await running.exec(['stat', '-f', '-c', '%T', path], signal)
  return {
    isOwners: isOwners[0] === true,
    isShut: isOwners.includes(true),
    isInMemory: stdout.trim() === 'tmpfs',
  }
}
