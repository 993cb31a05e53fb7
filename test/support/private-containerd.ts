import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { CriClient } from '../../src/backends/cri/runtime/client.ts'
import { systemClock } from '../../src/model/clock.ts'
import { writeOciArchive, type ImageSpec } from './oci-image.ts'

const run = promisify(execFile)

export const pauseImage = 'registry.k8s.io/pause:3.10.2'
export const busyboxImage = 'docker.io/library/busybox:1.37'

export interface PrivateContainerd {
  readonly dir: string
  readonly socket: string
  readonly client: CriClient
  importImage(spec: ImageSpec): Promise<void>
  removeImage(name: string): Promise<void>
  /** Starts a container's task behind the CRI's back. */
  startTask(containerId: string): Promise<void>
  /** SIGKILL; containers go on under their shims. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Removes everything: sandboxes, processes, bridge, files. */
  destroy(): Promise<void>
}

export interface PrivateContainerdOptions {
  /** At most 15 characters; the bridge's name. */
  readonly bridge: string
  /** As in `10.246.0.0/24`. */
  readonly subnet: string
  /** Folder of hosts.toml files. */
  readonly registryConfigPath?: string
}

/** On `$KUBEBUILDER_ASSETS`, in the cache that `npm test` fills, or on `PATH`; undefined when it is nowhere. */
export function findBinary(name: string): string | undefined {
  const environment = process.env
  const home = environment['HOME'] ?? '/root'
  const cache = environment['XDG_CACHE_HOME'] ?? join(home, '.cache')
  const assets = environment['KUBEBUILDER_ASSETS']
  const path = (environment['PATH'] ?? '').split(':')
  // The cache before the PATH: iproute2 has a `bridge` too.
  const folders = [...(assets ? [assets] : []), ...globSync(join(cache, 'spillway', '*', '*')), ...path]
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
}

const needed = [
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
  'runc',
  'bridge',
  'host-local',
  'loopback',
  'portmap',
]

/** What a test with a private containerd lacks on this machine; empty when it can run. */
export function missingForContainerd(): string[] {
  const missing = [...needed, 'busybox', 'ip', 'nft'].filter((name) => !findBinary(name))
  return process.getuid?.() === 0 ? missing : ['root', ...missing]
}

/** A containerd of the test's own: its root, state, socket, bridge and images; nothing shared with another. */
export async function startPrivateContainerd(options: PrivateContainerdOptions): Promise<PrivateContainerd> {
  const dir = await mkdtemp('/tmp/spillway-ctrd-')
  // The root of a Pod with ids of its own is nobody here, and has to get to its root file system.
  await chmod(dir, 0o711)
  const socket = join(dir, 'c.sock')
  await mkdir(join(dir, 'cni'))
  await writeFile(join(dir, 'containerd.toml'), configToml(dir, socket, options))
  await writeFile(join(dir, 'cni', '10-test.conflist'), JSON.stringify(cniConfig(dir, options)))
  const client = new CriClient({ socket, clock: systemClock })
  let daemon: ChildProcess | undefined

  const ctr = (...args: string[]) =>
    run(findBinary('ctr') ?? 'ctr', ['-a', socket, '-n', 'k8s.io', ...args], { maxBuffer: 1 << 24 })
  const start = async (): Promise<void> => {
    daemon = await spawnDaemon(dir)
    await untilReady(client, dir)
  }
  const kill = async (): Promise<void> => {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill('SIGKILL')
    await once(daemon, 'exit')
  }
  const importImage = async (spec: ImageSpec): Promise<void> => {
    const archive = join(dir, 'image.tar')
    await writeOciArchive(archive, spec)
    await ctr('images', 'import', '--local', archive)
    await rm(archive)
  }
  await start()
  await importImage(await pause())
  await importImage(await busybox())
  return {
    dir,
    socket,
    client,
    importImage,
    removeImage: async (name) => void (await ctr('images', 'rm', '--sync', name)),
    startTask: async (containerId) =>
      void (await ctr('tasks', 'start', '--detach', '--null-io', containerId)),
    kill,
    start,
    destroy: async () => {
      await removeSandboxes(client)
      client.close()
      await kill()
      await killLeftovers(dir)
      await run('ip', ['link', 'delete', options.bridge]).catch(() => undefined)
      await removePortTable()
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}

async function spawnDaemon(dir: string): Promise<ChildProcess> {
  const binary = findBinary('containerd') ?? 'containerd'
  const log = await open(join(dir, 'containerd.log'), 'a')
  const path = `${dirname(binary)}:${process.env['PATH'] ?? ''}`
  const daemon = spawn(binary, ['--config', join(dir, 'containerd.toml')], {
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, PATH: path },
  })
  await once(daemon, 'spawn')
  await log.close()
  return daemon
}

async function untilReady(client: CriClient, dir: string): Promise<void> {
  const giveUp = AbortSignal.timeout(30_000)
  for (;;) {
    try {
      const answer = await client.status({ verbose: false }, giveUp)
      // A third condition of containerd's only warns of deprecations, such as cgroup v1.
      const notReady = ['RuntimeReady', 'NetworkReady'].filter(
        (type) => !answer.status?.conditions.find((condition) => condition.type === type)?.status,
      )
      if (notReady.length === 0) return
    } catch (error) {
      if (giveUp.aborted) {
        const log = await readFile(join(dir, 'containerd.log'), 'utf8')
        throw new Error(`containerd is not ready: ${log.slice(-2000)}`, { cause: error })
      }
    }
    await systemClock.sleep(20, giveUp)
  }
}

async function removeSandboxes(client: CriClient): Promise<void> {
  const signal = AbortSignal.timeout(60_000)
  const sandboxes = await client.listSandboxes({}, signal).catch(() => [])
  await Promise.allSettled(
    sandboxes.map(async ({ id }) => {
      await client.stopSandbox(id, signal)
      await client.removeSandbox(id, signal)
    }),
  )
}

/** The CNI plugin for host ports leaves its table behind; other Pods of this machine may still have rules in it. */
async function removePortTable(): Promise<void> {
  const table = ['ip', 'cni_hostport']
  const { stdout } = await run('nft', ['list', 'table', ...table]).catch(() => ({ stdout: '' }))
  if (stdout !== '' && !stdout.includes('dnat to')) await run('nft', ['delete', 'table', ...table])
}

// Shims outlive containerd by design; what is left is recognised by our directory in its command line.
async function killLeftovers(dir: string): Promise<void> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('containerd-shim') && command.includes(dir)) process.kill(Number(pid), 'SIGKILL')
  }
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  for (const line of mounts.split('\n').reverse()) {
    const target = line.split(' ')[1] ?? ''
    if (target.startsWith(dir)) await run('umount', ['-l', target]).catch(() => undefined)
  }
}

function configToml(dir: string, socket: string, options: PrivateContainerdOptions): string {
  const registry = options.registryConfigPath
    ? `[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "${options.registryConfigPath}"\n`
    : ''
  return `version = 4
root = "${dir}/root"
state = "${dir}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile"]
[plugins."io.containerd.server.v1.grpc"]
address = "${socket}"
[plugins."io.containerd.server.v1.ttrpc"]
address = "${socket}.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "${pauseImage}"
${registry}[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["${dirname(findBinary('bridge') ?? '/opt/cni/bin/bridge')}"]
conf_dir = "${dir}/cni"
use_internal_loopback = true
`
}

function cniConfig(dir: string, { bridge, subnet }: PrivateContainerdOptions): object {
  return {
    cniVersion: '1.0.0',
    name: bridge,
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: `${dir}/ipam`,
          ranges: [[{ subnet }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', backend: 'nftables', capabilities: { portMappings: true } },
    ],
  }
}

async function busyboxFiles(): Promise<Buffer> {
  const path = findBinary('busybox')
  if (!path) throw new Error('busybox (package busybox-static) is needed to make test images')
  return readFile(path)
}

async function busybox(): Promise<ImageSpec> {
  const content = await busyboxFiles()
  const { stdout } = await run(findBinary('busybox') ?? 'busybox', ['--list'])
  const applets = stdout.split('\n').filter((name) => name && name !== 'busybox')
  return {
    name: busyboxImage,
    files: [
      ...['bin', 'etc', 'tmp', 'var', 'dev', 'proc', 'sys'].map((path) => ({ path, directory: true })),
      { path: 'bin/busybox', content },
      ...applets.map((name) => ({ path: `bin/${name}`, linkTo: 'busybox' })),
      {
        path: 'etc/passwd',
        content: Buffer.from('root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n'),
        mode: 0o644,
      },
    ],
    config: { Env: ['PATH=/bin:/usr/bin'], Cmd: ['sh'] },
  }
}

async function pause(): Promise<ImageSpec> {
  const content = await busyboxFiles()
  return {
    name: pauseImage,
    files: [
      { path: 'bin', directory: true },
      { path: 'bin/busybox', content },
      { path: 'bin/sleep', linkTo: 'busybox' },
    ],
    config: { Entrypoint: ['/bin/sleep', '2147483'], Env: ['PATH=/bin'] },
  }
}
