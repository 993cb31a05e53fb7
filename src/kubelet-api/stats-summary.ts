import { kubeTime } from '../model/clock.ts'
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
  VolumeUsage,
} from '../model/pod-usage.ts'
import { sum, type NodeReading } from './node-usage.ts'

export interface SummaryOptions {
  /** `?only_cpu_and_memory=true` */
  readonly onlyCpuAndMemory: boolean
  /** The node's own, not the machine's. */
  readonly ephemeralStorageBytes: bigint
}

/**
 * The answer of `/stats/summary` (k8s.io/kubelet pkg/apis/stats/v1alpha1). A virtual node has no network interface of
 * its own, and no daemons that could be told from the machine's: those parts are left out. Pure.
 */
export function statsSummary(reading: NodeReading, options: SummaryOptions): object {
  const { nodeName, startedAtMs, cpu, memory, pods } = reading
  const usage = { cpu: cpuStats(cpu), memory: memoryStats(memory) }
  return {
    node: {
      nodeName,
      systemContainers: [{ name: 'pods', startTime: kubeTime(startedAtMs), ...usage }],
      startTime: kubeTime(startedAtMs),
      ...usage,
      ...(!options.onlyCpuAndMemory && nodeStorage(reading, options.ephemeralStorageBytes)),
    },
    pods: pods.map((pod) => podStats(pod, reading, options)),
  }
}

function nodeStorage(reading: NodeReading, ephemeralStorageBytes: bigint): object {
  const { pods, disk, images, mostProcesses, atMs } = reading
  const used = sum(pods, (pod) => podFiles(pod).usedBytes)
  const left = ephemeralStorageBytes > used ? ephemeralStorageBytes - used : 0n
  const available = disk?.availableBytes
  return {
    fs: fsStats({
      ...disk,
      atMs,
      capacityBytes: ephemeralStorageBytes,
      usedBytes: used,
      usedInodes: sum(pods, (pod) => podFiles(pod).usedInodes),
      // Whichever ends first: the node's share, or the disk that all nodes of the backend are on.
      availableBytes: available !== undefined && available < left ? available : left,
    }),
    ...(images && { runtime: { imageFs: fsStats(images), containerFs: fsStats(images) } }),
    rlimit: {
      time: kubeTime(atMs),
      ...(mostProcesses !== undefined && { maxpid: Number(mostProcesses) }),
      curproc: Number(sum(pods, ({ processes }) => processes)),
    },
  }
}

function podStats(pod: PodUsage, { disk }: NodeReading, { onlyCpuAndMemory }: SummaryOptions): object {
  const { uid, namespace, name, startedAtMs, cpu, memory, io, network, processes } = pod
  const few = {
    podRef: { name, namespace, uid },
    startTime: kubeTime(startedAtMs),
    containers: pod.containers.map((container) => containerStats(container, onlyCpuAndMemory)),
    ...(cpu && { cpu: cpuStats(cpu) }),
    ...(memory && { memory: memoryStats(memory) }),
  }
  if (onlyCpuAndMemory) return few
  return {
    ...few,
    ...(io && { io: ioStats(io) }),
    ...(network && { network: networkStats(network) }),
    ...(pod.volumes && { volume: pod.volumes.map((volume) => volumeStats(volume, namespace)) }),
    ...(pod.otherFiles && { 'ephemeral-storage': fsStats({ ...disk, ...podFiles(pod) }) }),
    ...(processes !== undefined && { process_stats: { process_count: Number(processes) } }),
  }
}

function containerStats(container: ContainerUsage, onlyCpuAndMemory: boolean): object {
  const { name, startedAtMs, cpu, memory, io, root, logs } = container
  return {
    name,
    startTime: kubeTime(startedAtMs),
    ...(cpu && { cpu: cpuStats(cpu) }),
    ...(memory && { memory: memoryStats(memory) }),
    ...(!onlyCpuAndMemory && {
      ...(io && { io: ioStats(io) }),
      ...(root && { rootfs: fsStats(root) }),
      ...(logs && { logs: fsStats(logs) }),
    }),
  }
}

/** What counts against a Pod's ephemeral storage: writable layers, logs, volumes on the node's disk, /etc/hosts. */
export function podFiles({
  containers,
  volumes = [],
  otherFiles,
}: PodUsage): Required<Pick<FilesystemUsage, 'atMs' | 'usedBytes' | 'usedInodes'>> {
  const parts = [
    ...containers.flatMap(({ root, logs }) => [root, logs]),
    ...volumes.filter(({ local }) => local),
    otherFiles,
  ].filter((part) => part !== undefined)
  return {
    atMs: parts.reduce((last, { atMs }) => Math.max(last, atMs), 0),
    usedBytes: parts.reduce((total, { usedBytes }) => total + (usedBytes ?? 0n), 0n),
    usedInodes: parts.reduce((total, { usedInodes }) => total + (usedInodes ?? 0n), 0n),
  }
}

function cpuStats({ atMs, totalNanos, rateNanos, pressure }: CpuUsage): object {
  return {
    time: kubeTime(atMs),
    ...numbers({ usageNanoCores: rateNanos, usageCoreNanoSeconds: totalNanos }),
    ...psi(pressure),
  }
}

function memoryStats(memory: MemoryUsage): object {
  return {
    time: kubeTime(memory.atMs),
    ...numbers({
      availableBytes: memory.availableBytes,
      usageBytes: memory.usageBytes,
      workingSetBytes: memory.workingSetBytes,
      rssBytes: memory.rssBytes,
      pageFaults: memory.pageFaults,
      majorPageFaults: memory.majorPageFaults,
    }),
    ...psi(memory.pressure),
  }
}

function ioStats({ atMs, pressure }: IoUsage): object {
  return { time: kubeTime(atMs), ...psi(pressure) }
}

/** The first interface is the default one, whose figures stand beside the list, too. */
function networkStats({ atMs, interfaces }: NetworkUsage): object {
  const stats = interfaces.map(interfaceStats)
  return { time: kubeTime(atMs), ...(stats[0] ?? { name: '' }), interfaces: stats }
}

function interfaceStats(one: InterfaceUsage): object {
  const { name, receivedBytes, receiveErrors, sentBytes, sendErrors } = one
  const counts = { rxBytes: receivedBytes, rxErrors: receiveErrors, txBytes: sentBytes, txErrors: sendErrors }
  return { name, ...numbers(counts) }
}

function volumeStats(volume: VolumeUsage, namespace: string): object {
  const { name, claim } = volume
  return { ...fsStats(volume), name, ...(claim !== undefined && { pvcRef: { name: claim, namespace } }) }
}

function fsStats(fs: FilesystemUsage): object {
  return {
    time: kubeTime(fs.atMs),
    ...numbers({
      availableBytes: fs.availableBytes,
      capacityBytes: fs.capacityBytes,
      usedBytes: fs.usedBytes,
      inodesFree: fs.freeInodes,
      inodes: fs.inodes,
      inodesUsed: fs.usedInodes,
    }),
  }
}

function psi(pressure: Pressure | undefined): object {
  if (!pressure) return {}
  const share = ({ totalNanos, ...averages }: Pressure['full']): object => ({
    total: Number(totalNanos),
    ...averages,
  })
  return { psi: { full: share(pressure.full), some: share(pressure.some) } }
}

/** As JSON has them. Past 2^53, which takes a core 104 days in nanoseconds, the last digits are lost. */
function numbers(amounts: Readonly<Record<string, bigint | undefined>>): Record<string, number> {
  const given = Object.entries(amounts).filter((entry): entry is [string, bigint] => entry[1] !== undefined)
  return Object.fromEntries(given.map(([name, amount]) => [name, Number(amount)]))
}
