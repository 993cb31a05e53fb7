import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CgroupLayout } from './cgroup-layout.ts'
import { cpuPeriodUs, type CpuMemory } from './linux-resources.ts'

/** Writes what is given; the rest stays as it is. `path` below the mounts of the layout. */
export async function writeLimits(
  layout: CgroupLayout,
  path: string,
  limits: Partial<CpuMemory>,
): Promise<void> {
  const cpu = folderOf(layout, 'cpu', path)
  const memory = folderOf(layout, 'memory', path)
  const isV1 = layout.version === 1
  const { cpuShares, cpuQuotaUs, memoryBytes } = limits
  const writes: Promise<void>[] = []
  if (memoryBytes !== undefined) {
    const file = isV1 ? 'memory.limit_in_bytes' : 'memory.max'
    writes.push(writeFile(join(memory, file), String(memoryBytes)))
  }
  if (cpuShares !== undefined) {
    const [file, amount] = isV1 ? ['cpu.shares', cpuShares] : ['cpu.weight', cpuWeight(cpuShares)]
    writes.push(writeFile(join(cpu, file), String(amount)))
  }
  if (cpuQuotaUs !== undefined) writes.push(writeQuota(cpu, cpuQuotaUs, isV1))
  await Promise.all(writes)
}

async function writeQuota(cpu: string, quotaUs: number, isV1: boolean): Promise<void> {
  if (!isV1) return await writeFile(join(cpu, 'cpu.max'), `${quotaUs} ${cpuPeriodUs}`)
  await writeFile(join(cpu, 'cpu.cfs_period_us'), String(cpuPeriodUs))
  await writeFile(join(cpu, 'cpu.cfs_quota_us'), String(quotaUs))
}

/** Of all processes and threads below `path` together. A kernel without the controller has no such limit to give. */
export async function writePidsLimit(layout: CgroupLayout, path: string, most: number): Promise<void> {
  if (layout.version === 1 && !layout.controllers.has('pids')) return
  try {
    // Never made: the kernel makes the file with the folder, and a tree whose parents hand no pids down has none.
    await writeFile(join(folderOf(layout, 'pids', path), 'pids.max'), String(most), { flag: 'r+' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * What the kernel has. Shares are told apart by v1 alone: where the weight of v2 is that of the `wanted` ones, they are
 * those. Rejects when there is no such cgroup.
 */
export async function readLimits(
  layout: CgroupLayout,
  path: string,
  wanted: Pick<CpuMemory, 'cpuShares'>,
): Promise<CpuMemory> {
  const cpu = folderOf(layout, 'cpu', path)
  const memory = folderOf(layout, 'memory', path)
  if (layout.version === 1) {
    const [shares, periodUs, quotaUs, bytes] = await Promise.all([
      readText(join(cpu, 'cpu.shares')),
      readText(join(cpu, 'cpu.cfs_period_us')),
      readText(join(cpu, 'cpu.cfs_quota_us')),
      readText(join(memory, 'memory.limit_in_bytes')),
    ])
    return { cpuShares: Number(shares), ...quota(quotaUs, periodUs), ...memoryLimit(bytes) }
  }
  const [weight, max, bytes] = await Promise.all([
    readText(join(cpu, 'cpu.weight')),
    readText(join(cpu, 'cpu.max')),
    readText(join(memory, 'memory.max')),
  ])
  const isWanted = Number(weight) === cpuWeight(wanted.cpuShares)
  const [quotaUs = 'max', periodUs = ''] = max.split(' ')
  return {
    cpuShares: isWanted ? wanted.cpuShares : sharesOfWeight(Number(weight)),
    ...quota(quotaUs, periodUs),
    ...memoryLimit(bytes),
  }
}

export async function readMemoryUsage(layout: CgroupLayout, path: string): Promise<bigint> {
  const file = layout.version === 1 ? 'memory.usage_in_bytes' : 'memory.current'
  return BigInt(await readText(join(folderOf(layout, 'memory', path), file)))
}

/** v1 shares as a v2 weight, by the formula of runc since 1.3.2 (github.com/opencontainers/cgroups utils.go). */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1
  if (shares >= 262_144) return 10_000
  const log = Math.log2(shares)
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))
}

/** The other way round; of all shares that have this weight about the most. */
export function sharesOfWeight(weight: number): number {
  if (weight <= 1) return 2
  if (weight >= 10_000) return 262_144
  const log = (Math.sqrt(125 ** 2 + 4 * 612 * (Math.log10(weight) + 7 / 34)) - 125) / 2
  return Math.round(2 ** log)
}

function folderOf(layout: CgroupLayout, controller: string, path: string): string {
  return join(layout.version === 2 ? layout.root : (layout.controllers.get(controller) ?? ''), path)
}

function quota(quotaUs: string, periodUs: string): Pick<CpuMemory, 'cpuQuotaUs'> {
  const us = Number(quotaUs)
  return us > 0 ? { cpuQuotaUs: Math.round((us * cpuPeriodUs) / Number(periodUs)) } : {}
}

// v1 says "unlimited" by the largest number of whole pages.
const unlimitedBytes = 2n ** 62n

function memoryLimit(text: string): Pick<CpuMemory, 'memoryBytes'> {
  return text === 'max' || BigInt(text) > unlimitedBytes ? {} : { memoryBytes: BigInt(text) }
}

async function readText(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim()
}
