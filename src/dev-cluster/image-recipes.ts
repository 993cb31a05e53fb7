import { lstat, readFile, readdir, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { BinaryName } from './components.ts'
import type { LayerEntry } from './layer.ts'
import { nginxFiles } from './nginx-files.ts'
import type { ImageContent } from './oci-layout.ts'

/** An image that is built here and served under the name that it has upstream. */
export interface ImageRecipe {
  /** Fully qualified, as a Pod names it. */
  readonly name: string
  /** Counted up whenever the content changes for another reason than its binaries. */
  readonly revision: number
  /** Files that go in and tell one build from another. */
  readonly binaries: readonly (BinaryName | 'busybox')[]
  /** Package of the operating system that goes in, with those that it needs. */
  readonly debianPackage?: string
  readonly weightSeconds: number
  content(sources: ImageSources): Promise<ImageContent>
}

export interface ImageSources {
  path(name: BinaryName | 'busybox'): string
  readonly busyboxApplets: readonly string[]
  /** Where `debianPackage` was unpacked. */
  readonly packageRoot: string
}

const defaultEnv = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']

/** A root file system with busybox in it, on which the other images stand. */
function busyboxLayer(sources: ImageSources): readonly LayerEntry[] {
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

interface Account {
  readonly name: string
  readonly uid: number
  readonly home: string
  readonly shell: string
  /** Groups besides the one of its own name and number. */
  readonly groups: Readonly<Record<string, number>>
}

function accountFiles(accounts: readonly Account[]): readonly LayerEntry[] {
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

const pause: ImageRecipe = {
  name: 'registry.k8s.io/pause:3.10.2',
  revision: 1,
  binaries: ['pause'],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [[{ kind: 'file', path: 'pause', source: sources.path('pause'), mode: 0o755 }]],
    config: { Env: defaultEnv, Entrypoint: ['/pause'], User: '65535:65535', WorkingDir: '/' },
  }),
}

const busybox: ImageRecipe = {
  name: 'docker.io/library/busybox:1.37',
  revision: 1,
  binaries: ['busybox'],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [busyboxLayer(sources)],
    config: { Env: defaultEnv, Cmd: ['sh'] },
  }),
}

const agnhost: ImageRecipe = {
  name: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
  revision: 1,
  binaries: ['busybox', 'agnhost'],
  weightSeconds: 4,
  content: async (sources) => {
    const binary = sources.path('agnhost')
    const certificate = (file: string): LayerEntry => ({
      kind: 'file',
      path: file,
      source: join(binary, '..', file),
    })
    // Upstream's tests of supplementary groups count on exactly this user.
    const user: Account = {
      name: 'user-defined-in-image',
      uid: 1000,
      home: '/home/user-defined-in-image',
      shell: '/bin/sh',
      groups: { 'group-defined-in-image': 50000 },
    }
    return {
      layers: [
        busyboxLayer(sources),
        [
          { kind: 'file', path: 'agnhost', source: binary, mode: 0o755 },
          { kind: 'symlink', path: 'agnhost-2', target: 'agnhost' },
          { kind: 'dir', path: 'uploads' },
          certificate('localhost.crt'),
          certificate('localhost.key'),
          ...accountFiles([user]),
        ],
      ],
      config: {
        Env: defaultEnv,
        Entrypoint: ['/agnhost'],
        Cmd: ['pause'],
        ExposedPorts: { '80/tcp': {}, '8080/tcp': {}, '8081/tcp': {}, '9376/tcp': {}, '5000/tcp': {} },
      },
    }
  },
}

// The distribution's nginx under the name that examples on the web use: a Pod spec with `image: nginx:1.29` works
// here as it stands, though the version inside is the distribution's.
const nginx: ImageRecipe = {
  name: 'docker.io/library/nginx:1.29',
  revision: 1,
  binaries: ['busybox'],
  debianPackage: 'nginx',
  weightSeconds: 8,
  content: async (sources) => {
    const user: Account = { name: 'nginx', uid: 101, home: '/nonexistent', shell: '/bin/false', groups: {} }
    return {
      layers: [
        busyboxLayer(sources),
        [...(await packageEntries(sources.packageRoot)), ...nginxFiles, ...accountFiles([user])],
      ],
      config: {
        Env: defaultEnv,
        Entrypoint: ['/docker-entrypoint.sh'],
        Cmd: ['nginx', '-g', 'daemon off;'],
        ExposedPorts: { '80/tcp': {} },
        // Lets requests under way finish; TERM would cut them.
        StopSignal: 'SIGQUIT',
      },
    }
  },
}

export const imageRecipes: readonly ImageRecipe[] = [pause, busybox, agnhost, nginx]

/** nginx itself and the shared libraries, from what the packages hold; no documentation, character sets or engines. */
async function packageEntries(root: string): Promise<readonly LayerEntry[]> {
  const entries: LayerEntry[] = [
    { kind: 'symlink', path: 'lib', target: 'usr/lib' },
    { kind: 'symlink', path: 'lib64', target: 'usr/lib64' },
  ]
  for (const item of await readdir(root, { recursive: true, withFileTypes: true })) {
    const source = join(item.parentPath, item.name)
    // Older packages still say /lib for what has long been one folder with /usr/lib.
    const path = relative(root, source).replace(/^lib(64)?\//, 'usr/lib$1/')
    const isLibrary = /^usr\/lib(64)?\/([^/]+-linux-gnu\/)?[^/]+\.so[^/]*$/.test(path)
    if (!isLibrary && path !== 'usr/sbin/nginx' && path !== 'etc/nginx/mime.types') continue
    const found = await lstat(source)
    if (found.isSymbolicLink()) entries.push({ kind: 'symlink', path, target: await readlink(source) })
    else if (found.isFile())
      entries.push({ kind: 'bytes', path, bytes: await readFile(source), mode: found.mode & 0o755 })
  }
  return entries
}
