import type {
  ContainerUsage,
  CpuUsage,
  FilesystemUsage,
  InterfaceUsage,
  IoUsage,
  MemoryUsage,
  NetworkUsage,
  PodUsage,
  Pressure,
} from '../../../model/pod-usage.ts'
import { nanosToMs, type Int64Value } from '../runtime/cri-types.ts'
import { nodeNameOf, podOfLabels } from '../marks.ts'
import type {
  ContainerStats,
  CpuStats,
  FilesystemStats,
  InterfaceStats,
  IoStats,
  MemoryStats,
  NetworkStats,
  PodSandboxStats,
  PsiData,
  PsiStats,
} from './stats-types.ts'

/** When the runtime made a sandbox or a container, by its id. */
export type CreationTimes = ReadonlyMap<string, number>

/** The runtime's figures of one sandbox in our words. Undefined when it is not of a Pod that we know of. Pure. */
export function podUsage(stats: PodSandboxStats, createdAtMs: CreationTimes): PodUsage | undefined {
  const { attributes, linux } = stats
  const ref = attributes && podOfLabels(attributes.labels)
  const startedAtMs = attributes && createdAtMs.get(attributes.id)
  if (!ref || !linux || startedAtMs === undefined || startedAtMs === null) return undefined
  const processes = amount(linux.process?.processCount)
  return {
    ...ref,
    nodeName: nodeNameOf(attributes.labels),
    startedAtMs,
    ...(linux.cpu && { cpu: cpuUsage(linux.cpu) }),
    ...(linux.memory && { memory: memoryUsage(linux.memory) }),
    ...(linux.io && { io: ioUsage(linux.io) }),
    ...(linux.network && { network: networkUsage(linux.network) }),
    ...(processes !== undefined && { processes }),
    containers: linux.containers.flatMap((container) => containerUsage(container, createdAtMs) ?? []),
  }
}

/** Without CPU figures it has ended: the runtime lists those too, until they are removed. */
function containerUsage(stats: ContainerStats, createdAtMs: CreationTimes): ContainerUsage | undefined {
  const { attributes, cpu, memory, io, writableLayer } = stats
  const startedAtMs = attributes && createdAtMs.get(attributes.id)
  if (!cpu || startedAtMs === undefined || startedAtMs === null) return undefined
  return {
    name: attributes?.metadata.name ?? '',
    startedAtMs,
    cpu: cpuUsage(cpu),
    ...(memory && { memory: memoryUsage(memory) }),
    ...(io && { io: ioUsage(io) }),
    // A layer that was not looked at yet has the time 0.
    ...(writableLayer && nanosToMs(writableLayer.timestamp) > 0 && { root: fileUsage(writableLayer) }),
  }
}

export function fileUsage({ timestamp, usedBytes, inodesUsed }: FilesystemStats): FilesystemUsage {
  return {
    atMs: nanosToMs(timestamp),
    ...present({ usedBytes: amount(usedBytes), usedInodes: amount(inodesUsed) }),
  }
}

function cpuUsage({ timestamp, usageCoreNanoSeconds, usageNanoCores, psi }: CpuStats): CpuUsage {
  return {
    atMs: nanosToMs(timestamp),
    totalNanos: amount(usageCoreNanoSeconds) ?? 0n,
    ...present({ rateNanos: amount(usageNanoCores), pressure: pressure(psi) }),
  }
}

// containerd says 0 without a limit, and gVisor's shim a number that wrapped around.
const noLimitBytes = 1n << 62n

function memoryUsage(stats: MemoryStats): MemoryUsage {
  const available = amount(stats.availableBytes) ?? 0n
  const usage = amount(stats.usageBytes)
  const rss = amount(stats.rssBytes)
  return {
    atMs: nanosToMs(stats.timestamp),
    ...present({
      usageBytes: usage,
      workingSetBytes: amount(stats.workingSetBytes),
      // gVisor does not tell them apart, and says 0 of a container that has processes.
      rssBytes: rss === 0n && (usage ?? 0n) > 0n ? undefined : rss,
      availableBytes: available > 0n && available < noLimitBytes ? available : undefined,
      pageFaults: amount(stats.pageFaults),
      majorPageFaults: amount(stats.majorPageFaults),
      pressure: pressure(stats.psi),
    }),
  }
}

function ioUsage({ timestamp, psi }: IoStats): IoUsage {
  return { atMs: nanosToMs(timestamp), ...present({ pressure: pressure(psi) }) }
}

function networkUsage({ timestamp, defaultInterface, interfaces }: NetworkStats): NetworkUsage {
  // containerd lists the default one among the others; the definition says that it is not.
  const others = interfaces.filter(({ name }) => name !== defaultInterface?.name)
  const all = defaultInterface ? [defaultInterface, ...others] : others
  return { atMs: nanosToMs(timestamp), interfaces: all.map(interfaceUsage) }
}

function interfaceUsage({ name, rxBytes, rxErrors, txBytes, txErrors }: InterfaceStats): InterfaceUsage {
  return {
    name,
    receivedBytes: amount(rxBytes) ?? 0n,
    receiveErrors: amount(rxErrors) ?? 0n,
    sentBytes: amount(txBytes) ?? 0n,
    sendErrors: amount(txErrors) ?? 0n,
  }
}

function pressure(psi: PsiStats | null): Pressure | undefined {
  if (!psi?.Some || !psi.Full) return undefined
  return { full: share(psi.Full), some: share(psi.Some) }
}

function share({ Total, Avg10, Avg60, Avg300 }: PsiData): Pressure['full'] {
  return { totalNanos: BigInt(Total), avg10: Avg10, avg60: Avg60, avg300: Avg300 }
}

function amount(value: Int64Value | null | undefined): bigint | undefined {
  return value ? BigInt(value.value) : undefined
}

/** Without the fields that are undefined. */
function present<T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> }
}
