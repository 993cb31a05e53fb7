import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import type { BackendCapacity, BackendHealth, HealthCheck } from '../backend.ts'
import type { CriOptions } from './config.ts'
import type { RuntimeStatus } from './cri-types.ts'

export const machineMemoryBytes = BigInt(totalmem())

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
