import { flatDemo } from '../src/billing/price-books/flat-demo.ts'
import { asPodUid } from '../src/model/pod-key.ts'
import { usageEvent, type UsageEvent, type UsageFact } from '../src/model/usage.ts'

/** The month that the lives begin in, and when it is looked back at. */
export const month = { fromMs: Date.UTC(2026, 9, 1), toMs: Date.UTC(2026, 10, 1) }
export const nowMs = month.toMs + 3_600_000
/** Up to the middle of a day, as most bills are: whole days are kept as sums, the rest is counted. */
export const monthToDate = { fromMs: month.fromMs, toMs: month.toMs - 40_000_000 }

/** Lives of Pods, the same each time: `next(index)` in order. `intervalCount` of them are spread over the month. */
export class GeneratedLives {
  readonly #random = randomFrom(7)
  readonly #intervalCount: number

  constructor(intervalCount: number) {
    this.#intervalCount = intervalCount
  }

  next(index: number): UsageEvent[] {
    return lifeOf(index, this.#intervalCount, this.#random)
  }
}

/** Mulberry32: the same lives each time. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Jobs of seconds, tasks of minutes, services of hours and days, and a few that run for good. */
function lastsMs(random: () => number): number | undefined {
  const kind = random()
  if (kind < 0.55) return 2_000 + random() * 120_000
  if (kind < 0.85) return 60_000 + random() * 3_600_000
  if (kind < 0.97) return 3_600_000 + random() * 20 * 3_600_000
  if (kind < 0.998) return 24 * 3_600_000 * (1 + random() * 6)
  return undefined
}

function lifeOf(index: number, intervalCount: number, random: () => number): UsageEvent[] {
  const hex = Math.floor(random() * 0xffff_ffff)
    .toString(16)
    .padStart(8, '0')
  const podUid = asPodUid(`${hex}-7b1e-4c55-9a3d-${index.toString(16).padStart(12, '0')}`)
  const namespace = `team-${Math.floor(random() ** 2 * 40)}`
  const workload = `work-${Math.floor(random() * 200)}`
  const startMs = month.fromMs + Math.floor((index / intervalCount) * (month.toMs - month.fromMs))
  const lasts = lastsMs(random)
  const spec = {
    cpuMillis: BigInt(250 * (1 + Math.floor(random() * 16))),
    memoryMiB: BigInt(512 * (1 + Math.floor(random() * 16))),
    gpus: 0n,
  }
  const name = `${workload}-${index}`
  const pod = {
    clusterUid: 'bench',
    uid: podUid,
    namespace,
    name,
    workload: { kind: 'Deployment', name: workload },
    pool: `pool-${Math.floor(random() * 3)}`,
    node: 'pool-0',
    labels: { app: workload, team: namespace },
  }
  const event = (atMs: number, fact: UsageFact): UsageEvent =>
    usageEvent({
      clusterUid: 'bench',
      podUid,
      incarnation: 0,
      atMs,
      observedMs: atMs,
      source: 'backend',
      fact,
    })
  const terms = {
    priceBook: flatDemo.id,
    spec,
    demand: spec,
    steps: ["the Pod's requests, as the scheduler counts them"],
  }
  const closesMs = lasts === undefined ? undefined : startMs + Math.floor(lasts)
  return [
    event(startMs - 50, { kind: 'INTENT', pod, terms, generation: 1 }),
    event(startMs, { kind: 'OPENED', sandboxId: hex, pod: { namespace, name, node: 'pool-0' } }),
    ...(closesMs === undefined || closesMs > nowMs
      ? [event(nowMs - 1000, { kind: 'OBSERVED', bucket: 1 })]
      : [event(closesMs, { kind: 'CLOSED', confidence: 'exact', reason: 'its last container ended' })]),
  ]
}
