import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
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
  const all = [...options, ...noswap(release(), await readFile('/proc/self/uid_map', 'utf8'))]
  const flags = all.length === 0 ? [] : ['-o', all.join(',')]
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

/**
 * What lies in memory because it is secret, or small and fast, must not come to lie on a swap device. Kernels know the
 * option since 6.4, and not in a user namespace of their own (pkg/kubelet/util/swap).
 */
export function noswap(kernelRelease: string, uidMap: string): string[] {
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10))
  const isFirstNamespace = /^\s*0\s+0\s+4294967295\s*$/.test(uidMap)
  return isFirstNamespace && (major > 6 || (major === 6 && minor >= 4)) ? ['noswap'] : []
}

/**
 * Makes mounts at and below the directory travel between this machine and its containers, where the machine has not
 * arranged for it: the runtime refuses any propagation from a private mount. Undone by `unmountBelow`.
 */
export async function shareMounts(directory: string, run: RunCommand, signal: AbortSignal): Promise<void> {
  const within = (await mounts()).filter(({ mountPoint }) => isBelow(directory, mountPoint))
  // The last that was mounted hides the others of the same place.
  const holder = within.reduce<Mount | undefined>(
    (deepest, next) => (deepest && deepest.mountPoint.length > next.mountPoint.length ? deepest : next),
    undefined,
  )
  if (holder?.isShared) return
  if (holder?.mountPoint !== directory) await bindMount({ source: directory, target: directory, run }, signal)
  await run('mount', ['--make-rshared', directory], signal)
}

/** Unmounts everything at or below the directory, the last mounted first. Resolves when nothing is mounted there. */
export async function unmountBelow(directory: string, run: RunCommand, signal: AbortSignal): Promise<void> {
  for (const { mountPoint } of (await mounts()).reverse()) {
    if (isBelow(mountPoint, directory)) await run('umount', ['--no-canonicalize', mountPoint], signal)
  }
}

export async function isMountPoint(directory: string): Promise<boolean> {
  return (await mounts()).some(({ mountPoint }) => mountPoint === directory)
}

export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? directory : `${directory}/`)
}

interface Mount {
  readonly mountPoint: string
  /** Mounts made in it show in its copies, and the other way round. */
  readonly isShared: boolean
}

/** The mounts of this process's mount namespace, in the order of mounting. */
async function mounts(): Promise<Mount[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [fields = ''] = line.split(' - ')
      const [, , , , mountPoint = '', , ...tags] = fields.split(' ')
      return {
        mountPoint: unescapePath(mountPoint),
        isShared: tags.some((tag) => tag.startsWith('shared:')),
      }
    })
}

// The kernel writes space, tab, newline and backslash as three octal digits.
function unescapePath(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}
