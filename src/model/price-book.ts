import { parseTimeMs } from './clock.ts'
import {
  parseDecimal,
  rational,
  times,
  type LineRounding,
  type Rational,
  type RoundingMode,
} from './money.ts'

/** What is billed. Quantities are kept in milli-core·ms, MiB·ms and GPU·ms. */
export type BilledResource = 'cpu' | 'memory' | 'gpu'

/** As FOCUS writes a pricing unit: what one, for how long one. */
export const priceUnits = [
  'Core-Seconds',
  'Core-Hours',
  'GiB-Seconds',
  'GiB-Hours',
  'GPU-Seconds',
  'GPU-Hours',
] as const
export type PriceUnit = (typeof priceUnits)[number]

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
  /** Left out: lines are rounded by themselves only. */
  readonly hourRounding?: HourRounding
  /** RFC 3339, half-open. Left out: without bound. */
  readonly validFrom?: string
  readonly validTo?: string
}

/** All lines of one sandbox in one UTC hour, together, where they come to less than `below`: what a fee is at least. */
export interface HourRounding {
  /** A decimal string in the book's currency. */
  readonly below: string
  readonly scale: number
  readonly mode: RoundingMode
}

export const purchaseOptions = ['on-demand', 'spot'] as const
export type PurchaseOption = (typeof purchaseOptions)[number]

/** What decides on a price besides the resource. What is left out of a Price holds for every value of it. */
export interface PriceKind {
  /** Left out of a size: on demand. */
  readonly purchase?: 'spot'
  /** Left out of a size: the processor of the table's own rows. */
  readonly cpuType?: string
  readonly gpuModel?: string
}

/** Where several hold, the one that says most of its kind counts. */
export interface Price extends PriceKind {
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

/**
 * How requests and limits become what is looked up.
 * - `requests-or-largest-limit`: per resource the larger of all requests together and the largest limit (Tencent)
 * - `requests`: what the scheduler counts (Fargate)
 * - `limits-or-requests`: of each container its limit, or its request where it has none (Alibaba)
 */
export const demandRules = ['requests-or-largest-limit', 'requests', 'limits-or-requests'] as const
export type DemandRule = (typeof demandRules)[number]

/** The smallest cell that holds the Pod: the first CPU size whose memory reaches, and of it the least that does. */
export interface SteppedSpecs {
  readonly kind: 'stepped'
  /** Left out: `requests-or-largest-limit`. */
  readonly demand?: DemandRule
  readonly rows: readonly SpecRow[]
  /** What the processor of `rows` is called, where there are others. */
  readonly cpuType?: string
  /** For Pods that ask for another processor. */
  readonly otherCpuTypes?: readonly CpuTypeRows[]
  /** For a Pod that asks for nothing. */
  readonly defaults: Size
  /** The first that holds the Pod counts, so each model's rows are by cards, smallest first. Empty: no GPUs. */
  readonly gpuRows: readonly GpuRow[]
  readonly annotations?: SpecAnnotations
}

/** Keys of Pod annotations that the table heeds. */
export interface SpecAnnotations {
  /** Both set, these take the place of requests and limits. */
  readonly cpu: string
  readonly memory: string
  /** A processor, or several, the most wanted first: `amd,intel`. */
  readonly cpuType?: string
  /** A model of GPU, or several: `T4,V100`, `1/4*T4`. */
  readonly gpuModel?: string
}

export interface CpuTypeRows {
  readonly cpuType: string
  readonly rows: readonly SpecRow[]
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
  /** `V100`; a part of a card is a model of its own: `1/4 T4`. */
  readonly gpuModel: string
  /** As the resource `nvidia.com/gpu` counts: a part of a card is one. */
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

/** How many milli-core·ms, MiB·ms or GPU·ms one of the unit is. */
export function perUnitOf(unit: PriceUnit): bigint {
  const { perUnit, hourly } = unitFacts[unit]
  return perUnit * 1000n * (hourly ? 3600n : 1n)
}

/** The price of one milli-core·ms, MiB·ms or GPU·ms: a third of a hundredth stays a third of a hundredth. */
export function rateOf(price: Price): Rational {
  const known = rates.get(price)
  if (known) return known
  const rate = times(parseDecimal(price.price), rational(1n, perUnitOf(price.unit)))
  rates.set(price, rate)
  return rate
}

/** Prices never change, and each line of a bill asks for its rate. */
const rates = new WeakMap<Price, Rational>()

interface Validity {
  readonly fromMs: number
  readonly toMs: number
}

/** Half-open, in wall milliseconds; infinite where nothing is stated. */
export function validity(stated: { readonly validFrom?: string; readonly validTo?: string }): Validity {
  const known = validities.get(stated)
  if (known) return known
  const found = {
    fromMs: stated.validFrom === undefined ? -Infinity : parseTimeMs(stated.validFrom),
    toMs: stated.validTo === undefined ? Infinity : parseTimeMs(stated.validTo),
  }
  validities.set(stated, found)
  return found
}

/** Books never change in place, and every slice of every bill asks. */
const validities = new WeakMap<object, Validity>()

/** The price of a resource of that kind at an instant; undefined when the book has none. */
export function priceAt(
  book: PriceBook,
  resource: BilledResource,
  atMs: number,
  kind: PriceKind = {},
): Price | undefined {
  if (!contains(book, atMs)) return undefined
  let best: Price | undefined
  for (const price of book.prices) {
    if (resourceOf(price.unit) !== resource || !holdsFor(price, kind) || !contains(price, atMs)) continue
    if (!best || saidOf(price) > saidOf(best)) best = price
  }
  return best
}

function holdsFor(price: PriceKind, { purchase, cpuType, gpuModel }: PriceKind): boolean {
  return (
    (price.purchase === undefined || price.purchase === purchase) &&
    (price.cpuType === undefined || price.cpuType === cpuType) &&
    (price.gpuModel === undefined || price.gpuModel === gpuModel)
  )
}

function saidOf({ purchase, cpuType, gpuModel }: PriceKind): number {
  return [purchase, cpuType, gpuModel].filter((said) => said !== undefined).length
}

export function hasSpotPrices({ prices }: PriceBook): boolean {
  return prices.some(({ purchase }) => purchase === 'spot')
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
