import { execFile } from 'node:child_process'
import { access, readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseCgroupMounts } from '../../src/dev-cluster/cgroups.ts'

const run = promisify(execFile)

export interface TracesOptions {
  readonly clusterName: string
  /** Given once it is known. */
  readonly hostLink?: string
  /** As in `net:[4026532281]`. */
  readonly networkNamespace?: string
}

/**
 * Everything on this machine that is of one cluster, a line each. Only what carries its name or its number, so that
 * whatever else happens on the machine does not matter.
 */
export async function findTraces(options: TracesOptions): Promise<string[]> {
  const found = await Promise.all([
    processes(options),
    mounts(options),
    links(options),
    nftTables(options),
    cgroups(options),
    sockets(options),
    files(options),
  ])
  return found.flat()
}

async function processes({ clusterName, networkNamespace }: TracesOptions): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const namespace = await readlink(`/proc/${pid}/ns/net`).catch(() => '')
    const isOurs = command.includes(`/spillway/${clusterName}/`) || command.includes(`=${clusterName}\0`)
    if (isOurs || namespace === networkNamespace) {
      found.push(`process ${pid} ${command.replaceAll('\0', ' ').slice(0, 80)}`)
    }
  }
  return found
}

async function mounts({ clusterName, networkNamespace }: TracesOptions): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  return lines
    .filter(
      (line) =>
        line.includes(`/spillway/${clusterName}`) ||
        (networkNamespace !== undefined && line.includes(networkNamespace)),
    )
    .map((line) => `mount ${line}`)
}

async function links({ hostLink }: TracesOptions): Promise<string[]> {
  const { stdout } = await run('ip', ['-json', 'link', 'show'])
  const all = JSON.parse(stdout) as { readonly ifname: string }[]
  return all.filter(({ ifname }) => ifname === hostLink).map(({ ifname }) => `link ${ifname}`)
}

// On the host nothing makes tables of these names but a cluster whose namespace leaks; tests of backends make others.
async function nftTables({ clusterName }: TracesOptions): Promise<string[]> {
  const { stdout } = await run('nft', ['list', 'tables'])
  return stdout
    .split('\n')
    .filter((line) => {
      const name = line.split(' ').at(-1) ?? ''
      return (
        ['spillway', 'kube-proxy', 'cni_hostport'].includes(name) ||
        name.startsWith(`spillway-${clusterName}-`)
      )
    })
    .map((line) => `nft ${line}`)
}

async function cgroups({ clusterName }: TracesOptions): Promise<string[]> {
  const mounted = parseCgroupMounts(await readFile('/proc/mounts', 'utf8'))
  const paths = mounted.map(({ path }) => join(path, `spillway-${clusterName}`))
  return (await existing(paths)).map((path) => `cgroup ${path}`)
}

async function sockets({ clusterName }: TracesOptions): Promise<string[]> {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n')
  return lines.filter((line) => line.includes(clusterName)).map((line) => `socket ${line}`)
}

async function files({ clusterName }: TracesOptions): Promise<string[]> {
  const paths = [`/var/lib/spillway/${clusterName}`, `/run/spillway/${clusterName}`]
  return (await existing(paths)).map((path) => `file ${path}`)
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere) found.push(path)
  }
  return found
}
