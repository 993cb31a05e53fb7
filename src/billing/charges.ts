import { assertNever } from '../model/assert.ts'
import { formatRational, plus, rational, times, zero, type Rational } from '../model/money.ts'
import {
  priceAt,
  priceChangesMs,
  rateOf,
  type BilledResource,
  type Price,
  type PriceBook,
  type PurchaseOption,
} from '../model/price-book.ts'
import type { Spec } from '../model/spec.ts'
import { isSettled } from './accounts.ts'
import type { UsageInterval } from './projection.ts'
import { roundHour } from './round-hour.ts'

export const hourMs = 3_600_000

/** One invoice line: (Pod UID, incarnation, SKU, UTC hour). Rounded once; every view adds up rounded lines. */
export interface ChargeLine {
  readonly podUid: string
  readonly incarnation: number
  /** Undefined: the book has no price for the resource. The quantity stands, the amount is 0. */
  readonly sku: string | undefined
  readonly resource: BilledResource
  /** `spot`: the price is one that only those pay who bought so. */
  readonly purchase: PurchaseOption
  /** Start of the UTC hour. */
  readonly hourMs: number
  /** Half-open, in order, cut where the size or the price changed. */
  readonly parts: readonly ChargePart[]
  /** Milli-core·ms, MiB·ms or GPU·ms. */
  readonly quantity: bigint
  /** Before rounding, as `num/den`. */
  readonly exact: string
  readonly nanos: bigint
  readonly currency: string
}

export interface ChargePart {
  readonly fromMs: number
  readonly toMs: number
  /** Milli-cores, MiB or GPUs. */
  readonly size: bigint
  readonly price: Price | undefined
}

/** A stretch of one interval in which neither the hour, nor the size, nor any price changes. */
export interface UsageSlice {
  readonly fromMs: number
  readonly toMs: number
  readonly spec: Spec
}

/** Whole UTC hours, half-open. */
export interface Period {
  readonly fromMs: number
  readonly toMs: number
}

export const billedResources: readonly BilledResource[] = ['cpu', 'memory', 'gpu']

/** The lines of one interval that begin in the period; an open interval is priced up to `nowMs`. */
export function chargeLines(
  interval: UsageInterval,
  book: PriceBook,
  options: { readonly nowMs: number; readonly period?: Period },
): ChargeLine[] {
  const byHour = Map.groupBy(sliceInterval(interval, book, options), ({ fromMs }) => floorHour(fromMs))
  return [...byHour].flatMap(([startMs, slices]) => hourLines(interval, book, { startMs, slices }))
}

/** The lines of one hour, which its slices have to lie in. */
export function hourLines(
  interval: UsageInterval,
  book: PriceBook,
  { startMs, slices }: { readonly startMs: number; readonly slices: readonly UsageSlice[] },
): ChargeLine[] {
  const lines = billedResources.flatMap((resource) => linesOf(interval, book, { resource, startMs, slices }))
  const nanos = roundHour(
    lines.map(({ cost }) => cost),
    book,
  )
  return lines.map(({ cost, ...line }, index) => ({
    ...line,
    exact: formatRational(cost),
    nanos: nanos[index] ?? 0n,
  }))
}

/** The interval as slices that meet each other exactly: their lengths add up to the billed time. */
export function sliceInterval(
  interval: UsageInterval,
  book: PriceBook,
  options: { readonly nowMs: number; readonly period?: Period },
): UsageSlice[] {
  const { segments } = interval
  const first = segments[0]
  if (!first) return []
  const { fromMs, toMs } = billedRange(interval, book, options)
  const cuts = new Set<number>([...priceChangesMs(book), ...segments.map((segment) => segment.fromMs)])
  for (let hour = floorHour(fromMs) + hourMs; hour < toMs; hour += hourMs) cuts.add(hour)
  const edges = [...cuts].filter((cut) => cut > fromMs && cut < toMs).sort((a, b) => a - b)
  const slices: UsageSlice[] = []
  for (const [index, start] of [fromMs, ...edges].entries()) {
    const end = edges[index] ?? toMs
    const segment = segments.findLast((candidate) => candidate.fromMs <= start) ?? first
    if (end > start) slices.push({ fromMs: start, toMs: end, spec: segment.terms.spec })
  }
  return slices
}

/** What of the interval is billed within the period, half-open; empty when `toMs` is not after `fromMs`. */
export function billedRange(
  interval: UsageInterval,
  book: PriceBook,
  { nowMs, period }: { readonly nowMs: number; readonly period?: Period },
): Period {
  const { billed, startMs } = interval
  const endMs = hasBegun(interval, nowMs) ? billedEndMs(interval, book, nowMs) : startMs
  return {
    fromMs: Math.max(startMs, period?.fromMs ?? -Infinity, billed?.fromMs ?? -Infinity),
    toMs: Math.min(endMs, period?.toMs ?? Infinity, billed?.toMs ?? Infinity),
  }
}

/** By a clock that may be behind the backend's. What has ended, or is sealed, has begun, whatever a clock says. */
export function hasBegun(interval: UsageInterval, nowMs: number): boolean {
  return isSettled(interval) || interval.startMs <= nowMs
}

/** Where billing ends: the interval's end, later if the book has a minimum or counts started seconds whole. */
export function billedEndMs(interval: UsageInterval, book: PriceBook, nowMs: number): number {
  // One that was open when its period was sealed ran to that period's end, whatever a clock says now.
  const openUntilMs = Math.max(nowMs, interval.billed?.toMs ?? -Infinity)
  const endMs = Math.max(interval.endMs ?? openUntilMs, interval.startMs)
  const ranMs = endMs - interval.startMs
  const roundedMs = book.secondRounding === 'up' ? Math.ceil(ranMs / 1000) * 1000 : ranMs
  return interval.startMs + Math.max(roundedMs, book.minimumSeconds * 1000)
}

export function sizeOf(spec: Spec, resource: BilledResource): bigint {
  switch (resource) {
    case 'cpu':
      return spec.cpuMillis
    case 'memory':
      return spec.memoryMiB
    case 'gpu':
      return spec.gpus
    default:
      return assertNever(resource, 'billed resource')
  }
}

export function floorHour(ms: number): number {
  return Math.floor(ms / hourMs) * hourMs
}

interface UnroundedLine extends Omit<ChargeLine, 'exact' | 'nanos'> {
  readonly cost: Rational
}

/** One line a SKU; what has no price makes a line of its own, so that it is seen. */
function linesOf(
  interval: UsageInterval,
  book: PriceBook,
  hour: { resource: BilledResource; startMs: number; slices: readonly UsageSlice[] },
): UnroundedLine[] {
  const { resource, startMs, slices } = hour
  const parts = slices
    .map(({ fromMs, toMs, spec }) => ({
      fromMs,
      toMs,
      size: sizeOf(spec, resource),
      price: priceAt(book, resource, fromMs, spec),
    }))
    .filter(({ size }) => size > 0n)
  return [...Map.groupBy(parts, ({ price }) => price?.sku)].map(([sku, own]) => ({
    podUid: interval.podUid,
    incarnation: interval.incarnation,
    sku,
    resource,
    purchase: own[0]?.price?.purchase ?? 'on-demand',
    hourMs: startMs,
    parts: own,
    quantity: own.reduce((sum, part) => sum + quantityOf(part), 0n),
    cost: own.reduce((sum, part) => plus(sum, costOf(part)), zero),
    currency: book.currency,
  }))
}

function quantityOf({ fromMs, toMs, size }: ChargePart): bigint {
  return size * BigInt(toMs - fromMs)
}

function costOf(part: ChargePart): Rational {
  return part.price ? times(rational(quantityOf(part)), rateOf(part.price)) : zero
}
