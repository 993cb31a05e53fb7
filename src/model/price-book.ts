import { parseTimeMs } from './clock.ts'
import { parseDecimal, rational, times, type LineRounding, type Rational } from './money.ts'

/** What is billed. Quantities are kept in milli-core·ms, MiB·ms and GPU·ms. */
export type BilledResource = 'cpu' | 'memory' | 'gpu'

/** As FOCUS writes a pricing unit: what one, for how long one. */
export type PriceUnit =
  'Core-Seconds' | 'Core-Hours' | 'GiB-Seconds' | 'GiB-Hours' | 'GPU-Seconds' | 'GPU-Hours'

/**
 * Prices and sizes, versioned and immutable: once a Pod was billed by a book, the book of that id never changes. A new
 * price is a new id, or an entry whose validity begins where the old one's ends.
 */
export interface PriceBook {
  readonly id: string
  /** Where the figures were published. */
  readonly source: string
  /** The day on which they were read: `2023-06-30`. Not a promise that they are current. */
  readonly retrievedAt: string
  /** What a reader of a bill should know: gaps, and decisions that are ours. */
  readonly notes: readonly string[]
  /** ISO 4217. */
  readonly currency: string
  readonly prices: readonly Price[]
  /** What a Pod is billed at least; 0 for none. */
  readonly minimumSeconds: number
  /** Whether a started second counts whole, once per interval. */
  readonly secondRounding: 'none' | 'up'
  readonly specTable: SpecTable
  /** Added to the memory asked for before a size is looked up. */
  readonly memoryOverheadMiB: bigint
  readonly lineRounding: LineRounding
  /** RFC 3339, half-open. Left out: without bound. */
  readonly validFrom?: string
  readonly validTo?: string
}

export interface Price {
  /** Stable name without amount or date: `eks-intel-core`. */
  readonly sku: string
  readonly unit: PriceUnit
  /** A plain decimal in the book's currency per unit. */
  readonly price: string
  /** RFC 3339, half-open. Left out: as long as the book. */
  readonly validFrom?: string
  readonly validTo?: string
}

/** Which sizes exist, and how a Pod's wishes become one. */
export type SpecTable = ExactSpecs | SteppedSpecs

/** Billed 1:1 what the scheduler counts; memory in whole MiB. */
export interface ExactSpecs {
  readonly kind: 'exact'
  /** For a resource that the Pod does not ask for. */
  readonly defaults: Size
}

/** The smallest cell that holds the Pod, by Tencent's rules. */
export interface SteppedSpecs {
  readonly kind: 'stepped'
  readonly rows: readonly SpecRow[]
  /** For a Pod that asks for nothing. */
  readonly defaults: Size
  /** By cards, smallest first. Empty: no GPUs. */
  readonly gpuRows: readonly GpuRow[]
  /** Annotations that, both set, take the place of requests and limits. */
  readonly annotations?: { readonly cpu: string; readonly memory: string }
}

export interface Size {
  readonly cpuMillis: bigint
  readonly memoryMiB: bigint
}

/** Rows by ascending CPU, memory ascending in each. */
export interface SpecRow {
  readonly cpuMillis: bigint
  readonly memoryMiB: readonly bigint[]
}

export interface GpuRow extends Size {
  readonly gpuModel: string
  readonly gpus: bigint
}

const unitFacts: Readonly<
  Record<PriceUnit, { resource: BilledResource; perUnit: bigint; hourly: boolean; noun: string }>
> = {
  'Core-Seconds': { resource: 'cpu', perUnit: 1000n, hourly: false, noun: 'core-second' },
  'Core-Hours': { resource: 'cpu', perUnit: 1000n, hourly: true, noun: 'core-hour' },
  'GiB-Seconds': { resource: 'memory', perUnit: 1024n, hourly: false, noun: 'GiB-second' },
  'GiB-Hours': { resource: 'memory', perUnit: 1024n, hourly: true, noun: 'GiB-hour' },
  'GPU-Seconds': { resource: 'gpu', perUnit: 1n, hourly: false, noun: 'GPU-second' },
  'GPU-Hours': { resource: 'gpu', perUnit: 1n, hourly: true, noun: 'GPU-hour' },
}

export function resourceOf(unit: PriceUnit): BilledResource {
  return unitFacts[unit].resource
}

/** One of the unit, for people: `core-second`. */
export function unitNoun(unit: PriceUnit): string {
  return unitFacts[unit].noun
}

/** The price of one milli-core·ms, MiB·ms or GPU·ms: a third of a hundredth stays a third of a hundredth. */
export function rateOf(price: Price): Rational {
  const { perUnit, hourly } = unitFacts[price.unit]
  return times(parseDecimal(price.price), rational(1n, perUnit * 1000n * (hourly ? 3600n : 1n)))
}

/** Half-open, in wall milliseconds; infinite where nothing is stated. */
export function validity(stated: { readonly validFrom?: string; readonly validTo?: string }): {
  readonly fromMs: number
  readonly toMs: number
} {
  return {
    fromMs: stated.validFrom === undefined ? -Infinity : parseTimeMs(stated.validFrom),
    toMs: stated.validTo === undefined ? Infinity : parseTimeMs(stated.validTo),
  }
}

/** The price of a resource at an instant; undefined when the book has none. */
export function priceAt(book: PriceBook, resource: BilledResource, atMs: number): Price | undefined {
  if (!contains(book, atMs)) return undefined
  return book.prices.find((price) => resourceOf(price.unit) === resource && contains(price, atMs))
}

/** The instants at which some price of the book begins or ends, ascending. */
export function priceChangesMs(book: PriceBook): number[] {
  const instants = [book, ...book.prices].flatMap((stated) => Object.values(validity(stated)))
  return [...new Set(instants)].filter((ms) => Number.isFinite(ms)).sort((a, b) => a - b)
}

function contains(stated: { validFrom?: string; validTo?: string }, atMs: number): boolean {
  const { fromMs, toMs } = validity(stated)
  return fromMs <= atMs && atMs < toMs
}
