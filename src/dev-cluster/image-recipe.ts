import { lstat, readFile, readdir, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import type { BinaryName } from './components.ts'
import type { LayerEntry } from './layer.ts'
import type { ImageContent } from './oci-layout.ts'

/** An image that is built here and served under the name that it has upstream. */
export interface ImageRecipe {
  /** Fully qualified, as a Pod names it. */
  readonly name: string
  /** Counted up whenever the content changes for another reason than its binaries. */
  readonly revision: number
  /** Files that go in and tell one build from another. */
  readonly binaries: readonly (BinaryName | 'busybox')[]
  /** Packages of the operating system of which files go in, and of those that they need. */
  readonly debianPackages?: readonly string[]
  readonly weightSeconds: number
  content(sources: ImageSources): Promise<ImageContent>
}

export interface ImageSources {
  path(name: BinaryName | 'busybox'): string
  readonly busyboxApplets: readonly string[]
  /** Where `debianPackages` were unpacked; empty without any. */
  readonly packageRoot: string
}

export const defaultEnv = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']

/** A root file system with busybox in it, on which the other images stand. */
export function busyboxLayer(sources: ImageSources): readonly LayerEntry[] {
  const applets = sources.busyboxApplets.filter((applet) => applet !== 'busybox')
  return [
    { kind: 'file', path: 'bin/busybox', source: sources.path('busybox'), mode: 0o755 },
    ...applets.map((applet): LayerEntry => ({
      kind: 'hardlink',
      path: `bin/${applet}`,
      target: 'bin/busybox',
    })),
    { kind: 'dir', path: 'root', mode: 0o700 },
    { kind: 'dir', path: 'tmp', mode: 0o1777 },
    { kind: 'dir', path: 'var/tmp', mode: 0o1777 },
    ...['dev', 'etc', 'home', 'proc', 'run', 'sys', 'usr/bin', 'usr/sbin'].map((path): LayerEntry => ({
      kind: 'dir',
      path,
    })),
    // Scripts name it this way, and upstream's image has it too.
    { kind: 'symlink', path: 'usr/bin/env', target: '/bin/env' },
    ...accountFiles([]),
  ]
}

export interface Account {
  readonly name: string
  readonly uid: number
  readonly home: string
  readonly shell: string
  /** Groups besides the one of its own name and number. */
  readonly groups: Readonly<Record<string, number>>
}

export function accountFiles(accounts: readonly Account[]): readonly LayerEntry[] {
  const all: readonly Account[] = [
    { name: 'root', uid: 0, home: '/root', shell: '/bin/sh', groups: {} },
    ...accounts,
    { name: 'nobody', uid: 65534, home: '/nonexistent', shell: '/bin/false', groups: {} },
  ]
  const passwd = all.map(({ name, uid, home, shell }) => `${name}:x:${uid}:${uid}:${name}:${home}:${shell}\n`)
  const groups = all.flatMap(({ name, uid, groups }) => [
    `${name}:x:${uid}:\n`,
    ...Object.entries(groups).map(([group, gid]) => `${group}:x:${gid}:${name}\n`),
  ])
  return [
    { kind: 'text', path: 'etc/passwd', text: passwd.join('') },
    { kind: 'text', path: 'etc/group', text: groups.join('') },
    { kind: 'text', path: 'etc/nsswitch.conf', text: 'passwd: files\ngroup: files\nhosts: files dns\n' },
  ]
}

/**
 * Named files of packages, by their path there and in the image, and all shared libraries; no documentation, character
 * sets or engines.
 */
export async function packageEntries(
  root: string,
  files: Readonly<Record<string, string>>,
): Promise<readonly LayerEntry[]> {
  const entries: LayerEntry[] = [
    { kind: 'symlink', path: 'lib', target: 'usr/lib' },
    { kind: 'symlink', path: 'lib64', target: 'usr/lib64' },
  ]
  const missing = new Set(Object.keys(files))
  for (const item of await readdir(root, { recursive: true, withFileTypes: true })) {
    const source = join(item.parentPath, item.name)
    // Older packages still say /lib for what has long been one folder with /usr/lib; so do they of /bin and /sbin.
    const packaged = relative(root, source).replace(/^(lib|lib64|bin|sbin)\//, 'usr/$1/')
    const isLibrary = /^usr\/lib(64)?\/([^/]+-linux-gnu\/)?[^/]+\.so[^/]*$/.test(packaged)
    const path = isLibrary ? packaged : files[packaged]
    if (path === undefined) continue
    missing.delete(packaged)
    const found = await lstat(source)
    if (found.isSymbolicLink()) entries.push({ kind: 'symlink', path, target: await readlink(source) })
    else if (found.isFile())
      entries.push({ kind: 'bytes', path, bytes: await readFile(source), mode: found.mode & 0o755 })
  }
  if (missing.size === 0) return entries
  throw new SpillwayError('Environment', `The packages of this system lack ${[...missing].join(', ')}.`)
}
