import { readdir, readFile } from 'node:fs/promises'
import type { CriClient } from '../src/backends/cri/runtime/client.ts'
import type { Int64Value } from '../src/backends/cri/runtime/cri-types.ts'
import type { PodSandboxStats } from '../src/backends/cri/usage/stats-types.ts'
import type { Clock } from '../src/model/clock.ts'

/** Per Pod, without its containers, as the median of several Pods. */
export interface SandboxCost {
  readonly memoryMiB: number
  /** Of the Pod that takes the most. */
  readonly mostMemoryMiB: number
  /** Of the shim, which stands outside of the Pod's cgroup: what it does not share with others (PSS). */
  readonly shimMiB: number
  readonly idleMilliCores: number
}

export interface SandboxCostOptions {
  readonly client: CriClient
  /** Of Pods that do nothing. */
  readonly names: ReadonlySet<string>
  readonly idleSeconds: number
  readonly clock: Clock
}

const mib = 1024 * 1024

export async function sandboxCost(
  { client, names, idleSeconds, clock }: SandboxCostOptions,
  signal: AbortSignal,
): Promise<SandboxCost> {
  const look = async (): Promise<readonly PodSandboxStats[]> =>
    (await client.listSandboxStats({}, signal)).filter(({ attributes }) =>
      names.has(attributes?.metadata.name ?? ''),
    )
  // What starting has taken is not over with the start.
  await clock.sleep(10_000, signal)
  const before = await look()
  await clock.sleep(idleSeconds * 1000, signal)
  const after = await look()
  if (after.length !== names.size) throw new Error(`${after.length} of ${names.size} Pods have figures`)
  const memory = after.map(ownMemory)
  const used = after.map((pod) => {
    const earlier = before.find(({ attributes }) => attributes?.id === pod.attributes?.id)
    return (cpuNanos(pod) - cpuNanos(earlier)) / 1e6 / idleSeconds
  })
  return {
    memoryMiB: median(memory) / mib,
    mostMemoryMiB: Math.max(...memory) / mib,
    shimMiB: median(await shimBytes(new Set(after.map(({ attributes }) => attributes?.id ?? '')))) / mib,
    idleMilliCores: median(used),
  }
}

/** The Pod's cgroup beyond what its containers say that they hold. */
function ownMemory({ linux }: PodSandboxStats): number {
  const containers = (linux?.containers ?? []).map(({ memory }) => numberOf(memory?.workingSetBytes))
  return numberOf(linux?.memory?.workingSetBytes) - containers.reduce((sum, bytes) => sum + bytes, 0)
}

function cpuNanos(pod: PodSandboxStats | undefined): number {
  return numberOf(pod?.linux?.cpu?.usageCoreNanoSeconds)
}

function numberOf(value: Int64Value | null | undefined): number {
  return Number(value?.value ?? NaN)
}

/** One for a Pod; runc's and gVisor's alike name the sandbox in their arguments. */
async function shimBytes(sandboxIds: ReadonlySet<string>): Promise<readonly number[]> {
  const found: number[] = []
  for (const entry of await readdir('/proc')) {
    const command = /^\d+$/.test(entry) ? await read(`/proc/${entry}/cmdline`) : ''
    const [program = '', ...args] = command.split('\0')
    if (!program.includes('containerd-shim') || !args.some((argument) => sandboxIds.has(argument))) continue
    const [, kib = NaN] = /^Pss:\s+(\d+) kB/m.exec(await read(`/proc/${entry}/smaps_rollup`)) ?? []
    found.push(Number(kib) * 1024)
  }
  return found
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '')
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
