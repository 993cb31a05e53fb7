import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import type { BackendCapacity } from '../../backend.ts'
import type { CriOptions } from '../config.ts'
import { pageSizeName } from './page-size-name.ts'

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
