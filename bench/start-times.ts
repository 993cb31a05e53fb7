import { percentile } from './percentile.ts'
import { benchPod, type PodWatch } from './pod-watch.ts'
import type { PodTimeline } from '../src/cli/demo/pod-timeline.ts'

/** Milliseconds, as one observer saw them. */
export interface Comparison {
  readonly kubelet: readonly number[]
  readonly spillway: readonly number[]
}

export interface Nodes {
  readonly server: string
  readonly virtual: string
}

/** Bind → Ready of one Pod at a time, the two nodes in turn, so that what else the machine does meets both. */
export async function oneByOne(
  watch: PodWatch,
  nodes: Nodes,
  rounds: number,
  signal: AbortSignal,
): Promise<Comparison> {
  const kubelet: number[] = []
  const spillway: number[] = []
  // The first round brings image and caches in and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [node, times] of [
      [nodes.server, kubelet],
      [nodes.virtual, spillway],
    ] as const) {
      const name = `one-${node}-${round}`
      await watch.create(benchPod(name, { node }), signal)
      const [timeline] = await watch.until([name], isReady, signal)
      if (round > 0 && timeline) times.push(bindToReadyMs(timeline))
      await watch.remove([name], signal)
    }
  }
  return { kubelet, spillway }
}

export interface BurstTimes {
  /** From the first bind until the last is Ready. */
  readonly allMs: number
  readonly p50Ms: number
}

/** As many at once on one node, then on the other; `rounds` times. */
export async function atOnce(
  watch: PodWatch,
  nodes: Nodes,
  { rounds, count }: { readonly rounds: number; readonly count: number },
  signal: AbortSignal,
): Promise<{ readonly kubelet: readonly BurstTimes[]; readonly spillway: readonly BurstTimes[] }> {
  const kubelet: BurstTimes[] = []
  const spillway: BurstTimes[] = []
  for (let round = 0; round < rounds; round += 1) {
    for (const [node, times] of [
      [nodes.server, kubelet],
      [nodes.virtual, spillway],
    ] as const) {
      const names = Array.from({ length: count }, (_, index) => `many-${node}-${round}-${index}`)
      await Promise.all(names.map((name) => watch.create(benchPod(name, { node }), signal)))
      const timelines = await watch.until(names, isReady, signal)
      const began = Math.min(...timelines.map(({ boundMs }) => boundMs ?? Infinity))
      const ended = Math.max(...timelines.map(({ readyMs }) => readyMs ?? -Infinity))
      times.push({ allMs: ended - began, p50Ms: percentile(timelines.map(bindToReadyMs), 0.5) })
      await watch.remove(names, signal)
    }
  }
  return { kubelet, spillway }
}

/** Unschedulable → bound, the server being full. */
export async function overflow(
  watch: PodWatch,
  server: { readonly name: string; readonly cpuMillis: number },
  rounds: number,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const filler = 'filler'
  const cpu = `${server.cpuMillis - 50}m`
  await watch.create(benchPod(filler, { node: server.name, cpu }), signal)
  await watch.until([filler], isReady, signal)
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const name = `over-${round}`
    await watch.create(benchPod(name, { cpu: '200m' }), signal)
    const [timeline] = await watch.until([name], isReady, signal)
    // Seen as bound only: both in one look, which is as good as at once.
    times.push((timeline?.boundMs ?? NaN) - (timeline?.unschedulableMs ?? timeline?.boundMs ?? NaN))
    await watch.remove([name], signal)
  }
  await watch.remove([filler], signal)
  return times
}

function isReady({ readyMs }: PodTimeline): boolean {
  return readyMs !== undefined
}

function bindToReadyMs({ boundMs, readyMs }: PodTimeline): number {
  return (readyMs ?? NaN) - (boundMs ?? NaN)
}
