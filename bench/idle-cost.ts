import { readFile } from 'node:fs/promises'
import { systemClock } from '../src/model/clock.ts'
import { countRequests, type AuditLog } from './audit-log.ts'
import type { BenchCluster } from './bench-cluster.ts'

export interface IdleCost {
  readonly seconds: number
  /** By user agent, then by "verb resource". */
  readonly requestsPerMinute: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly spillway: ProcessCost
  readonly kubelet: ProcessCost
}

export interface ProcessCost {
  readonly rssMegabytes: number
  readonly cpuSecondsPerMinute: number
}

/** What stands still costs: requests that the API server's audit log shows, memory and CPU of the processes. */
export async function idleCost(
  { running }: BenchCluster,
  audit: AuditLog,
  seconds: number,
  signal: AbortSignal,
): Promise<IdleCost> {
  const before = await processes(running)
  const fromMs = systemClock.wallMs()
  await systemClock.sleep(seconds * 1000, signal)
  const toMs = systemClock.wallMs()
  const after = await processes(running)
  return {
    seconds,
    requestsPerMinute: perMinute(countRequests(await audit.requests({ fromMs, toMs })), seconds),
    spillway: cost(before.spillway, after.spillway, seconds),
    kubelet: cost(before.kubelet, after.kubelet, seconds),
  }
}

function perMinute(
  counts: ReadonlyMap<string, ReadonlyMap<string, number>>,
  seconds: number,
): IdleCost['requestsPerMinute'] {
  return new Map(
    [...counts].map(([agent, ofAgent]) => [
      agent,
      new Map([...ofAgent].map(([what, count]) => [what, (count * 60) / seconds])),
    ]),
  )
}

interface ProcessSample {
  readonly rssBytes: number
  readonly cpuSeconds: number
}

async function processes(
  running: BenchCluster['running'],
): Promise<{ readonly spillway: ProcessSample; readonly kubelet: ProcessSample }> {
  return { spillway: await sample(running, 'spillway'), kubelet: await sample(running, 'kubelet') }
}

async function sample(running: BenchCluster['running'], component: string): Promise<ProcessSample> {
  const pid = await running.componentPid(component)
  if (pid === undefined) throw new Error(`${component} does not run`)
  return await sampleTree(pid)
}

/** A process and its children: the launcher of Spillway waits for the Node that it started. */
async function sampleTree(pid: number): Promise<ProcessSample> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may contain blanks: fields 14 and 15 are user and system ticks, 24 is RSS in pages.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  let rssBytes = (fields[21] ?? 0) * 4096
  let cpuSeconds = ((fields[11] ?? 0) + (fields[12] ?? 0)) / 100
  for (const child of children.split(' ').filter(Boolean)) {
    const below = await sampleTree(Number(child))
    rssBytes += below.rssBytes
    cpuSeconds += below.cpuSeconds
  }
  return { rssBytes, cpuSeconds }
}

function cost(before: ProcessSample, after: ProcessSample, seconds: number): ProcessCost {
  return {
    rssMegabytes: after.rssBytes / 1_000_000,
    cpuSecondsPerMinute: ((after.cpuSeconds - before.cpuSeconds) * 60) / seconds,
  }
}
