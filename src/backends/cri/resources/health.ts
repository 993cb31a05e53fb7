import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { formatBytes } from '../../../model/quantity.ts'
import type { Shortage, ShortResource } from '../../../model/shortage.ts'
import type { BackendHealth, HealthCheck } from '../../backend.ts'
import type { RuntimeStatus } from '../runtime/cri-types.ts'
import { filesystemRoom } from '../usage/disk-usage.ts'
import { leastOf, type Thresholds } from './thresholds.ts'

export interface Disk {
  /** Of logs, volumes and our own records, or of images and writable layers. */
  readonly kind: 'nodefs' | 'imagefs'
  readonly path: string
}

// The sentences are the same while it lasts, though the amounts change: each change would be written to the Node.

/** Short of room, or of inodes, on any of the disks: the first that is. */
export async function diskHealth(disks: readonly Disk[], thresholds: Thresholds): Promise<HealthCheck> {
  for (const { kind, path } of disks) {
    const { capacityBytes, availableBytes, inodes, freeInodes } = await filesystemRoom(path)
    const leastBytes = leastOf(thresholds[`${kind}.available`], capacityBytes)
    if (availableBytes < leastBytes) {
      const words = `less than ${formatBytes(leastBytes)} of the disk of ${path} are free`
      return short('NodeHasDiskPressure', words, of('ephemeral-storage', leastBytes, availableBytes))
    }
    const leastInodes = leastOf(thresholds[`${kind}.inodesFree`], inodes)
    // Some file systems do not count inodes and say 0.
    if (inodes > 0n && freeInodes < leastInodes) {
      const words = `less than ${leastInodes} inodes of the disk of ${path} are free`
      return short('NodeHasDiskPressure', words, of('inodes', leastInodes, freeInodes))
    }
  }
  return good('NodeHasNoDiskPressure', 'the disk has enough room')
}

export async function memoryHealth(thresholds: Thresholds): Promise<HealthCheck> {
  const meminfo = await readFile('/proc/meminfo', 'utf8')
  const available = BigInt(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? '0') * 1024n
  const least = leastOf(thresholds['memory.available'], BigInt(totalmem()))
  if (available >= least) return good('NodeHasSufficientMemory', 'enough memory is available')
  const words = `less than ${formatBytes(least)} of memory are available`
  return short('NodeHasInsufficientMemory', words, of('memory', least, available))
}

export async function pidHealth(thresholds: Thresholds): Promise<HealthCheck> {
  const [most, load] = await Promise.all([
    readFile('/proc/sys/kernel/pid_max', 'utf8'),
    readFile('/proc/loadavg', 'utf8'),
  ])
  const whole = BigInt(most.trim())
  const available = whole - BigInt(load.split(' ')[3]?.split('/')[1] ?? 0)
  const least = leastOf(thresholds['pid.available'], whole)
  if (available >= least) return good('NodeHasSufficientPID', 'enough process ids are free')
  const words = `less than ${least} of ${whole} process ids are free`
  return short('NodeHasInsufficientPID', words, of('pids', least, available))
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

export function bad(reason: string, message: string): HealthCheck {
  return { ok: false, reason, message }
}

function good(reason: string, message: string): HealthCheck {
  return { ok: true, reason, message }
}

function short(reason: string, message: string, shortage: Shortage): HealthCheck {
  return { ok: false, reason, message, shortage }
}

function of(resource: ShortResource, least: bigint, available: bigint): Shortage {
  return { resource, least, available }
}
