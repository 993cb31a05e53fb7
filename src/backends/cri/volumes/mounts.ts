import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { SpillwayError } from '../../../model/errors.ts'

/**
 * Mounting by the system's own commands: Node has no mount(2), and a child a volume costs a few milliseconds.
 * Needs root, and the same mount namespace as the container runtime, which would else see an empty directory.
 * Answers whether it was mounted now.
 */
export async function mountTmpfs(
  { directory, options }: { readonly directory: string; readonly options: readonly string[] },
  signal: AbortSignal,
): Promise<boolean> {
  if (await isMountPoint(directory)) return false
  const flags = options.length === 0 ? [] : ['-o', options.join(',')]
  await run('mount', ['-t', 'tmpfs', ...flags, 'tmpfs', directory], signal)
  return true
}

/** `source` may be a `/proc/PID/fd/N` path: it is taken as it is, so that the directory behind the handle is meant. */
export async function bindMount(
  { source, target }: { readonly source: string; readonly target: string },
  signal: AbortSignal,
): Promise<void> {
  await run('mount', ['--no-canonicalize', '--bind', source, target], signal)
}

/** Unmounts everything at or below the directory, the last mounted first. Resolves when nothing is mounted there. */
export async function unmountBelow(directory: string, signal: AbortSignal): Promise<void> {
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

function run(command: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { signal }, (error, _stdout, stderr) => {
      if (!error) return resolve()
      if (signal.aborted) return reject(signal.reason as Error)
      const told = stderr.trim() || error.message
      reject(new SpillwayError('Unavailable', `${command} ${args.join(' ')}: ${told}`, { cause: error }))
    })
  })
}
