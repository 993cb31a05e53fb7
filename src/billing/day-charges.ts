import { priceChangesMs, type BilledResource, type PriceBook } from '../model/price-book.ts'
import type { Spec } from '../model/spec.ts'
import { addQuantities, noQuantities, type Quantities } from '../model/usage.ts'
import {
  billedRange,
  chargeLines,
  floorHour,
  hourLines,
  hourMs,
  type ChargeLine,
  type Period,
} from './charges.ts'
import type { UsageInterval } from './projection.ts'

export const dayMs = 24 * hourMs

/** The sum of the rounded lines of one UTC day. */
export interface DayCharge {
  /** Start of the UTC day. */
  readonly dayMs: number
  readonly nanos: bigint
  readonly quantities: Quantities
  /** What ran without a price. */
  readonly unpriced: readonly BilledResource[]
}

/**
 * What `chargeLines` comes to, day by day, without making a line for each hour: in hours that nothing cuts, a size and a
 * price give the same line each time, so that a Pod of a year costs no more than its days.
 */
export function dayCharges(
  interval: UsageInterval,
  book: PriceBook,
  options: { readonly nowMs: number; readonly period?: Period },
): DayCharge[] {
  const range = billedRange(interval, book, options)
  if (interval.segments.length === 0 || range.toMs <= range.fromMs) return []
  const sums = new DaySums()
  const edges = edgesOf(interval, book, range)
  for (const hour of new Set(edges.filter((ms) => ms % hourMs !== 0).map(floorHour))) {
    const period = {
      fromMs: Math.max(hour, range.fromMs),
      toMs: Math.min(hour + hourMs, range.toMs),
    }
    sums.add(hour, chargeLines(interval, book, { ...options, period }), 1)
  }
  for (const [index, fromMs] of edges.slice(0, -1).entries()) {
    const whole = { fromMs: -floorHour(-fromMs), toMs: floorHour(edges[index + 1] ?? fromMs) }
    if (whole.toMs <= whole.fromMs) continue
    const lines = wholeHour(interval, book, { spec: specAt(interval, fromMs), startMs: whole.fromMs })
    for (let at = whole.fromMs; at < whole.toMs; at = floorDay(at) + dayMs) {
      const untilMs = Math.min(floorDay(at) + dayMs, whole.toMs)
      sums.add(at, lines, (untilMs - at) / hourMs)
    }
  }
  return sums.days()
}

export function floorDay(ms: number): number {
  return Math.floor(ms / dayMs) * dayMs
}

/** Where the size or a price may change, with the beginning and the end, ascending. */
function edgesOf(interval: UsageInterval, book: PriceBook, { fromMs, toMs }: Period): number[] {
  const cuts = [...priceChangesMs(book), ...interval.segments.map((segment) => segment.fromMs)]
  const inside = new Set(cuts.filter((cut) => fromMs < cut && cut < toMs))
  return [fromMs, ...[...inside].sort((a, b) => a - b), toMs]
}

function specAt({ segments }: UsageInterval, atMs: number): Spec | undefined {
  return (segments.findLast(({ fromMs }) => fromMs <= atMs) ?? segments[0])?.terms.spec
}

function wholeHour(
  interval: UsageInterval,
  book: PriceBook,
  { spec, startMs }: { readonly spec: Spec | undefined; readonly startMs: number },
): ChargeLine[] {
  if (!spec) return []
  const slices = [{ fromMs: startMs, toMs: startMs + hourMs, spec }]
  return hourLines(interval, book, { startMs, slices })
}

class DaySums {
  readonly #days = new Map<number, { nanos: bigint; quantities: Quantities; unpriced: Set<BilledResource> }>()

  add(atMs: number, lines: readonly ChargeLine[], times: number): void {
    if (lines.length === 0) return
    const day = floorDay(atMs)
    const sum = this.#days.get(day) ?? { nanos: 0n, quantities: noQuantities, unpriced: new Set() }
    const count = BigInt(times)
    for (const { nanos, quantity, resource, sku } of lines) {
      sum.nanos += nanos * count
      sum.quantities = addQuantities(sum.quantities, quantitiesOf(resource, quantity * count))
      if (sku === undefined) sum.unpriced.add(resource)
    }
    this.#days.set(day, sum)
  }

  days(): DayCharge[] {
    return [...this.#days]
      .map(([day, { nanos, quantities, unpriced }]) => ({
        dayMs: day,
        nanos,
        quantities,
        unpriced: [...unpriced].sort(),
      }))
      .sort((a, b) => a.dayMs - b.dayMs)
  }
}

function quantitiesOf(resource: BilledResource, amount: bigint): Quantities {
  return {
    cpuMilliMs: resource === 'cpu' ? amount : 0n,
    memoryMiBMs: resource === 'memory' ? amount : 0n,
    gpuMs: resource === 'gpu' ? amount : 0n,
  }
}
