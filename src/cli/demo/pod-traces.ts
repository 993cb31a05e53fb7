import { globSync, readdirSync, readFileSync } from 'node:fs'

export interface TraceOptions {
  readonly podUid: string
  readonly podIp: string | undefined
  /** Pid, seen from here, of a process in the cluster's mount namespace. */
  readonly namespacePid: number
  /** Where the CNI plugin host-local notes the addresses that it gave out. */
  readonly addressDir: string
}

/** What this machine still holds of a Pod: cgroups with their processes, mounts, its address. */
export function podTraces({ podUid, podIp, namespacePid, addressDir }: TraceOptions): readonly string[] {
  // Folder names have dashes or, under the systemd driver, underscores.
  const names = [podUid, podUid.replaceAll('-', '_')]
  const mentions = (text: string): boolean => names.some((name) => text.includes(name))
  const cgroups = names.flatMap((name) =>
    globSync(`/sys/fs/cgroup/**/*${name}*`).map((path) => `cgroup ${path}`),
  )
  const mounts = readOr(`/proc/${namespacePid}/mountinfo`)
    .split('\n')
    .filter(mentions)
    .map((line) => `mount ${line.split(' ')[4]}`)
  const processes = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && mentions(readOr(`/proc/${pid}/cgroup`)))
    .map((pid) => `process ${pid}`)
  const addresses = globSync(`${addressDir}/**/*`)
    .filter((path) => podIp !== undefined && path.endsWith(`/${podIp}`))
    .map((path) => `address ${path}`)
  return [...processes, ...mounts, ...cgroups, ...addresses]
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process ended while we looked
  }
}
