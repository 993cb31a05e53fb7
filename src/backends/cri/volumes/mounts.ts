import { readFile } from 'node:fs/promises'
import type { RunCommand } from '../command-shell.ts'

/**
 * Mounting by the system's own commands: Node has no mount(2).
 * Needs root, and the same mount namespace as the container runtime, which would else see an empty directory.
 * Answers whether it was mounted now.
 */
export async function mountTmpfs(
  {
    directory,
    options,
    run,
  }: { readonly directory: string; readonly options: readonly string[]; readonly run: RunCommand },
  signal: AbortSignal,
): Promise<boolean> {
  if (await isMountPoint(directory)) return false
  const flags = options.length === 0 ? [] : ['-o', options.join(',')]
  await run('mount', ['-t', 'tmpfs', ...flags, 'tmpfs', directory], signal)
  return true
}

/** `source` may be a `/proc/PID/fd/N` path: it is taken as it is, so that the directory behind the handle is meant. */
export async function bindMount(
  { source, target, run }: { readonly source: string; readonly target: string; readonly run: RunCommand },
  signal: AbortSignal,
): Promise<void> {
  await run('mount', ['--no-canonicalize', '--bind', source, target], signal)
}

/** Unmounts everything at or below the directory, the last mounted first. Resolves when nothing is mounted there. */
export async function unmountBelow(directory: string, run: RunCommand, signal: AbortSignal): Promise<void> {
  for (const mountPoint of (await mountPoints()).reverse()) {
    if (isBelow(mountPoint, directory)) await run('umount', ['--no-canonicalize', mountPoint], signal)
  }
}

export async function isMountPoint(directory: string): Promise<boolean> {
  return (await mountPoints()).includes(directory)
}

export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

/** Mount points of this process's mount namespace, in the order of mounting. */
async function mountPoints(): Promise<string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => unescapePath(line.split(' ')[4] ?? ''))
}

// The kernel writes space, tab, newline and backslash as three octal digits.
function unescapePath(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}
