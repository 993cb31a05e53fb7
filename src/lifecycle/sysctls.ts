import type { Pod } from '../model/kubernetes.ts'

type KernelNamespace = 'IPC' | 'Net' | 'User' | 'UTS'

/**
 * Safe: a namespace of the Pod's own holds it, and it touches no other Pod (pkg/kubelet/sysctl/safe_sysctls.go). The
 * version is that of the kernel which namespaced it; without one, every kernel that runs containers has.
 */
const safe: readonly (readonly [name: string, sinceKernel?: readonly [number, number]])[] = [
  ['kernel.shm_rmid_forced'],
  ['net.ipv4.ip_local_port_range'],
  ['net.ipv4.tcp_syncookies'],
  ['net.ipv4.ping_group_range'],
  ['net.ipv4.ip_unprivileged_port_start'],
  ['net.ipv4.ip_local_reserved_ports', [3, 16]],
  ['net.ipv4.tcp_keepalive_time', [4, 5]],
  ['net.ipv4.tcp_fin_timeout', [4, 6]],
  ['net.ipv4.tcp_keepalive_intvl', [4, 5]],
  ['net.ipv4.tcp_keepalive_probes', [4, 5]],
  ['net.ipv4.tcp_rmem', [4, 15]],
  ['net.ipv4.tcp_wmem', [4, 15]],
  ['net.ipv4.tcp_slow_start_after_idle', [4, 15]],
  ['net.ipv4.tcp_notsent_lowat', [4, 6]],
]

/** What every Pod may set. `kernelRelease` as `uname -r` says it. */
export function safeSysctls(kernelRelease: string): string[] {
  const [, major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(kernelRelease) ?? []).map(Number)
  const isNewEnough = ([sinceMajor, sinceMinor]: readonly [number, number]): boolean =>
    major > sinceMajor || (major === sinceMajor && minor >= sinceMinor)
  return safe.filter(([, since]) => !since || isNewEnough(since)).map(([name]) => name)
}

const namespaceOfName: Readonly<Record<string, KernelNamespace>> = {
  'kernel.domainname': 'UTS',
  'kernel.sem': 'IPC',
  'kernel.shmall': 'IPC',
  'kernel.shmmax': 'IPC',
  'kernel.shmmni': 'IPC',
  'kernel.shm_rmid_forced': 'IPC',
  'kernel.msgmax': 'IPC',
  'kernel.msgmnb': 'IPC',
  'kernel.msgmni': 'IPC',
  // For the patterns `kernel.shm*` and `kernel.msg*`.
  'kernel.shm': 'IPC',
  'kernel.msg': 'IPC',
}

const namespaceOfPrefix: readonly (readonly [prefix: string, namespace: KernelNamespace])[] = [
  ['net.', 'Net'],
  ['fs.mqueue.', 'IPC'],
  ['user.', 'User'],
]

/** Which of a Pod's namespaces holds the parameter, or all of a pattern's; undefined: none, it is the machine's. */
export function sysctlNamespace(nameOrPattern: string): KernelNamespace | undefined {
  const name = dottedSysctl(nameOrPattern).replace(/\*.*$/, '')
  return (
    namespaceOfName[name] ?? namespaceOfPrefix.find(([prefix]) => name.startsWith(prefix))?.[1] ?? undefined
  )
}

/** sysctl(8) takes `/` for the separator too: `net/ipv4/conf/eth0.1/rp_filter` is `net.ipv4.conf.eth0/1.rp_filter`. */
export function dottedSysctl(name: string): string {
  if (/[./]/.exec(name)?.[0] !== '/') return name
  return name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'))
}

/**
 * Why the Pod may not set what it wants to, in kubelet's words (pkg/kubelet/sysctl/allowlist.go); undefined when it may.
 * `allowed` are names, or beginnings that end in `*`.
 */
export function sysctlRefusal(pod: Pod, allowed: readonly string[]): string | undefined {
  const { hostIPC, hostNetwork, hostUsers, securityContext } = pod.spec ?? {}
  const shared: Partial<Record<KernelNamespace, boolean | undefined>> = {
    IPC: hostIPC,
    Net: hostNetwork,
    User: hostUsers !== false,
  }
  for (const { name } of securityContext?.sysctls ?? []) {
    const dotted = dottedSysctl(name)
    const rule = allowed.find((candidate) => matches(dotted, dottedSysctl(candidate)))
    if (rule === undefined) return `forbidden sysctl: "${dotted}" not allowlisted`
    const namespace = sysctlNamespace(rule)
    if (namespace && shared[namespace]) {
      return `forbidden sysctl: "${dotted}" not allowed with host ${namespace} enabled`
    }
  }
  return undefined
}

function matches(name: string, rule: string): boolean {
  return rule.endsWith('*') ? name.startsWith(rule.slice(0, -1)) : name === rule
}
