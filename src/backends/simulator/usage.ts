import type { ContainerUsage, PodUsage } from '../../model/pod-usage.ts'
import { parseBytes, parseCpuMillis } from '../../model/quantity.ts'
import { allRuns, currentSandbox, type SimulatedPod, type SimulatedRun } from './simulated-pod.ts'

/** What the Pod's containers are scripted to use. Undefined when none of them runs. */
export function simulatedUsage(record: SimulatedPod, nowMs: number): PodUsage | undefined {
  const running = allRuns(record).filter((run) => run.startedAtMs <= nowMs && nowMs < run.end.atMs)
  if (running.length === 0) return undefined
  const containers = running.map((run) => containerUsage(record, run, nowMs))
  const sum = (amountOf: (container: ContainerUsage) => bigint | undefined): bigint =>
    containers.reduce((total, container) => total + (amountOf(container) ?? 0n), 0n)
  const workingSetBytes = sum(({ memory }) => memory?.workingSetBytes)
  return {
    ...record.ref,
    nodeName: record.nodeName,
    startedAtMs: currentSandbox(record)?.createdAtMs ?? nowMs,
    cpu: {
      atMs: nowMs,
      totalNanos: sum(({ cpu }) => cpu?.totalNanos),
      rateNanos: sum(({ cpu }) => cpu?.rateNanos),
    },
    memory: { atMs: nowMs, workingSetBytes, usageBytes: workingSetBytes },
    processes: BigInt(containers.length),
    containers,
  }
}

/** Unless scripted: half of the processors that it asks for, and nine tenths of the memory. */
function containerUsage(record: SimulatedPod, run: SimulatedRun, nowMs: number): ContainerUsage {
  const { initContainers = [], containers = [] } = record.pod.spec ?? {}
  const spec = [...initContainers, ...containers].find(({ name }) => name === run.name)
  const requests = spec?.resources?.requests ?? {}
  const cpuMillis = run.script.cpuMillis ?? Number(parseCpuMillis(requests['cpu'] ?? '10m')) / 2
  const memory = parseBytes(requests['memory'] ?? '16Mi')
  const workingSetBytes =
    run.script.memoryBytes === undefined ? (memory * 9n) / 10n : BigInt(Math.round(run.script.memoryBytes))
  return {
    name: run.name,
    startedAtMs: run.startedAtMs,
    cpu: {
      atMs: nowMs,
      // A core for a millisecond is a million nanoseconds; a thousandth of it a thousand.
      totalNanos: BigInt(Math.round(cpuMillis * (nowMs - run.startedAtMs) * 1000)),
      rateNanos: BigInt(Math.round(cpuMillis * 1_000_000)),
    },
    memory: { atMs: nowMs, workingSetBytes, usageBytes: workingSetBytes },
  }
}
