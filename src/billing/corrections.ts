import { formatNanos } from '../model/money.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import {
  addQuantities,
  noQuantities,
  usageEvent,
  type AdjustedThing,
  type Quantities,
  type UsageEvent,
} from '../model/usage.ts'
import { unclipped } from './accounts.ts'
import type { Period } from './charges.ts'
import { dayCharges } from './day-charges.ts'
import { encodeJson } from './ledger-json.ts'
import type { UsageInterval } from './projection.ts'
import { bookOf } from './spending.ts'

export interface LateFacts {
  readonly podUid: PodUid
  /** What stood before they came, and what is known with them. */
  readonly before: readonly UsageInterval[]
  readonly after: readonly UsageInterval[]
  /** The periods that are sealed, in order, each from the end of the one before. */
  readonly sealed: readonly Period[]
  readonly books: ReadonlyMap<string, PriceBook>
  /** The last of them. */
  readonly cause: UsageEvent
}

/**
 * What late facts would have changed in sealed periods, to the nano-unit, as events of their own: dated when it became
 * known, in the open period. Their ids come from the fact's, so that its repetition makes no second one.
 */
export function correctionsFor(late: LateFacts): UsageEvent[] {
  const { podUid, sealed, cause } = late
  const sealedUntilMs = sealed.at(-1)?.toMs ?? -Infinity
  const before = billedBefore(late.before, sealedUntilMs)
  const after = billedBefore(late.after, sealedUntilMs)
  if (encodeJson(before.map(timesOf)) === encodeJson(after.map(timesOf))) return []
  const about = nameOf(after[0] ?? before[0])
  return sealed.flatMap((period) => {
    const was = sums(before, late.books, period)
    const is = sums(after, late.books, period)
    return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((currency) => {
      const difference = minus(is.get(currency) ?? nothing, was.get(currency) ?? nothing)
      if (isNothing(difference)) return []
      const { nanos, quantities } = difference
      return usageEvent({
        clusterUid: cause.clusterUid,
        podUid,
        incarnation: 0,
        atMs: Math.max(cause.observedMs, sealedUntilMs),
        observedMs: cause.observedMs,
        source: 'spillway',
        fact: {
          kind: 'ADJUSTED',
          reference: `correction ${period.toMs} ${currency} ${cause.id}`,
          reason: `${cause.fact.kind} came when everything before ${dateOf(period.toMs)} was sealed`,
          amount: formatNanos(nanos),
          currency,
          ...(about && { about }),
          corrects: { ...period, causedBy: cause.id, quantities },
        },
      })
    })
  })
}

interface Sum {
  readonly nanos: bigint
  readonly quantities: Quantities
}

const nothing: Sum = { nanos: 0n, quantities: noQuantities }

function billedBefore(intervals: readonly UsageInterval[], untilMs: number): UsageInterval[] {
  return intervals.filter(({ startMs }) => startMs < untilMs).map(unclipped)
}

/** All that lines are made from. A heartbeat changes none of it: the comparison is spared for most events. */
function timesOf({ incarnation, startMs, endMs, segments }: UsageInterval): unknown {
  return { incarnation, startMs, endMs, segments }
}

/** By currency. */
function sums(
  intervals: readonly UsageInterval[],
  books: ReadonlyMap<string, PriceBook>,
  period: Period,
): Map<string, Sum> {
  const byCurrency = new Map<string, Sum>()
  for (const interval of intervals) {
    const book = bookOf(interval, books)
    if (!book) continue
    for (const { nanos, quantities } of dayCharges(interval, book, { nowMs: period.toMs, period })) {
      const sum = byCurrency.get(book.currency) ?? nothing
      byCurrency.set(book.currency, {
        nanos: sum.nanos + nanos,
        quantities: addQuantities(sum.quantities, quantities),
      })
    }
  }
  return byCurrency
}

function minus(a: Sum, b: Sum): Sum {
  const { cpuMilliMs, memoryMiBMs, gpuMs } = b.quantities
  const negative = { cpuMilliMs: -cpuMilliMs, memoryMiBMs: -memoryMiBMs, gpuMs: -gpuMs }
  return { nanos: a.nanos - b.nanos, quantities: addQuantities(a.quantities, negative) }
}

function isNothing({ nanos, quantities: { cpuMilliMs, memoryMiBMs, gpuMs } }: Sum): boolean {
  return nanos === 0n && cpuMilliMs === 0n && memoryMiBMs === 0n && gpuMs === 0n
}

/** As bills call the Pod. */
export function nameOf(interval: UsageInterval | undefined): AdjustedThing | undefined {
  if (!interval) return undefined
  const { namespace, name } = interval.pod ?? interval.unknownPod
  const workload = interval.pod?.workload ?? { kind: 'Pod', name }
  return {
    namespace,
    workload: `${workload.kind}/${workload.name}`,
    pod: name,
    pool: interval.pod?.pool ?? '',
  }
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString()
}
