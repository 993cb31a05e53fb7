import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import type { BackendCapacity, BackendHealth, HealthCheck } from '../../backend.ts'
import type { CriOptions } from '../config.ts'
import type { RuntimeStatus } from '../runtime/cri-types.ts'
import { pageSizeName } from './linux-resources.ts'

/** What a container's configuration has to know of the machine. */
export interface Machine {
  readonly memoryBytes: bigint
  readonly cgroupVersion: 1 | 2
  /** Whether a cgroup can keep its processes from swapping. */
  readonly limitsSwap: boolean
  /** As in `2MB`, `1GB`. */
  readonly hugepageSizes: readonly string[]
  /** Besides what is masked everywhere: files through which a container would learn of its neighbours' work. */
  readonly maskedPaths: readonly string[]
}

const machineMemoryBytes = BigInt(totalmem())

export function thisMachine(cgroupVersion: 1 | 2): Machine {
  return {
    memoryBytes: machineMemoryBytes,
    cgroupVersion,
    limitsSwap: existsSync(
      cgroupVersion === 1 ? '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes' : swapFileOfV2(),
    ),
    hugepageSizes: entriesOf('/sys/kernel/mm/hugepages').map((name) =>
      pageSizeName(1024n * BigInt(/(\d+)kB$/.exec(name)?.[1] ?? 0)),
    ),
    maskedPaths: entriesOf('/sys/devices/system/cpu')
      .filter((name) => /^cpu\d+$/.test(name))
      .map((cpu) => `/sys/devices/system/cpu/${cpu}/thermal_throttle`)
      .filter(existsSync),
  }
}

/** The root of the tree has no such file; the cgroup of this process does. */
function swapFileOfV2(): string {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/'
  return join('/sys/fs/cgroup', own, 'memory.swap.max')
}

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : []
}

/** Whether the kernel enforces AppArmor profiles: pkg/security/apparmor validateHost. */
export const hasAppArmor =
  existsSync('/sys/kernel/security/apparmor') &&
  existsSync('/sys/module/apparmor/parameters/enabled') &&
  readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y')

/** Whether the kernel knows SELinux labels: github.com/opencontainers/selinux GetEnabled. */
export const hasSeLinux = existsSync('/sys/fs/selinux/enforce')

/** What may be given out: the machine's own, times the overcommit. */
export async function machineCapacity(options: CriOptions): Promise<BackendCapacity> {
  const disk = await statfs(options.stateDir, { bigint: true })
  const { cpuOvercommit = 4, memoryOvercommit = 1, pods = 250 } = options
  return {
    cpuMillis: BigInt(Math.floor(availableParallelism() * 1000 * cpuOvercommit)),
    memoryBytes: (machineMemoryBytes * BigInt(Math.round(memoryOvercommit * 1000))) / 1000n,
    ephemeralStorageBytes: disk.blocks * disk.bsize,
    pods,
  }
}

// kubelet's evictionHard defaults, as shares and amounts that must be left.
const leastDiskPercent = 10n
const leastInodePercent = 5n
const leastMemoryBytes = 100n * 1024n * 1024n
const leastPidPercent = 5

export async function diskHealth(stateDir: string): Promise<HealthCheck> {
  const { blocks, bavail, files, ffree } = await statfs(stateDir, { bigint: true })
  if (bavail * 100n < blocks * leastDiskPercent) {
    return bad('NodeHasDiskPressure', `less than ${leastDiskPercent} % of the disk of ${stateDir} is free`)
  }
  // Some file systems do not count inodes and say 0.
  if (files > 0n && ffree * 100n < files * leastInodePercent) {
    return bad(
      'NodeHasDiskPressure',
      `less than ${leastInodePercent} % of the inodes of ${stateDir} are free`,
    )
  }
  return good('NodeHasNoDiskPressure', 'the disk has enough room')
}

export async function memoryHealth(): Promise<HealthCheck> {
  const meminfo = await readFile('/proc/meminfo', 'utf8')
  const availableBytes = BigInt(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? '0') * 1024n
  return availableBytes < leastMemoryBytes
    ? bad('NodeHasInsufficientMemory', `only ${availableBytes} bytes of memory are available`)
    : good('NodeHasSufficientMemory', 'enough memory is available')
}

export async function pidHealth(): Promise<HealthCheck> {
  const [most, load] = await Promise.all([
    readFile('/proc/sys/kernel/pid_max', 'utf8'),
    readFile('/proc/loadavg', 'utf8'),
  ])
  const used = Number(load.split(' ')[3]?.split('/')[1] ?? 0)
  const freePercent = 100 - (100 * used) / Number(most)
  return freePercent < leastPidPercent
    ? bad('NodeHasInsufficientPID', `${used} of ${most.trim()} process ids are taken`)
    : good('NodeHasSufficientPID', 'enough process ids are free')
}

/** The runtime's own two conditions, as kubelet reads them. */
export function runtimeHealth(status: RuntimeStatus): Pick<BackendHealth, 'runtime' | 'network'> {
  const check = (type: string): HealthCheck => {
    const condition = status.status?.conditions.find((candidate) => candidate.type === type)
    if (condition?.status) return good(type, `${type} is true`)
    return bad(condition?.reason || `No${type}`, condition?.message || `the runtime does not report ${type}`)
  }
  return { runtime: check('RuntimeReady'), network: check('NetworkReady') }
}

export function good(reason: string, message: string): HealthCheck {
  return { ok: true, reason, message }
}

export function bad(reason: string, message: string): HealthCheck {
  return { ok: false, reason, message }
}
