import { assertNever } from '../../model/assert.ts'
import {
  formatDecimal,
  formatNanos,
  formatRational,
  nanoScale,
  parseDecimal,
  rational,
  roundRational,
  times,
  zero,
  type Rational,
} from '../../model/money.ts'
import {
  perUnitOf,
  type BilledResource,
  type Price,
  type PriceBook,
  type PriceUnit,
} from '../../model/price-book.ts'
import { formatSpec } from '../../model/spec.ts'
import type { ChargedInterval } from '../bill-entries.ts'
import { namesOf, type BilledNames } from '../bill-query.ts'
import type { ChargeLine, ChargePart } from '../charges.ts'
import type { Adjustment, UsageInterval } from '../projection.ts'

/** One charge as FOCUS has it, before a version has chosen its columns. Undefined is FOCUS's null. */
export interface FocusRow extends BilledNames {
  readonly clusterUid: string
  readonly billingPeriod: { readonly fromMs: number; readonly toMs: number }
  /** Exact, half-open. */
  readonly fromMs: number
  readonly toMs: number
  readonly category: 'Usage' | 'Adjustment'
  /** It corrects a period that was invoiced, here: sealed, before. */
  readonly isCorrection: boolean
  /** At a price that only those pay who bought spot. */
  readonly isSpot: boolean
  readonly description: string
  readonly currency: string
  /** Decimal strings; `cost` is `pricingQuantity` × `unitPrice`, digit by digit. */
  readonly cost: string
  readonly unitPrice: string | undefined
  readonly pricingQuantity: string | undefined
  readonly pricingUnit: string | undefined
  readonly consumedQuantity: string | undefined
  readonly consumedUnit: string | undefined
  readonly sku: string | undefined
  readonly resource: BilledResource | undefined
  readonly priceBook: string | undefined
  readonly spec: string | undefined
  readonly incarnation: number
  readonly estimated: boolean
  /** The ledger's own amount, `num/den`: nothing of it is lost in decimals. */
  readonly exactCost: string
  /** What the bill has for it. A line's rounded amount stands on the first of its rows. */
  readonly invoicedCost: string
}

/**
 * Decimal places of a quantity. Seconds are exact in 13 at most. Hours are not: 1 ms is a third of a number of decimals,
 * so the last of these places is rounded, and the exact amount stands beside it.
 */
export const quantityPlaces = 18

/**
 * The rows of an interval's lines: one for each invoice line, two or more where the price changed within the hour. The
 * unit is the price book's own, so that the price is the published figure and never a rounded quotient.
 */
export function usageRows({ interval, book, lines }: ChargedInterval, nowMs: number): FocusRow[] {
  if (!book) return []
  return lines.flatMap((line) => {
    const byPrice = [...Map.groupBy(line.parts, ({ price }) => price).values()]
    return byPrice.map((parts, index) => {
      const invoicedNanos = index === 0 ? line.nanos : 0n
      return usageRow({ interval, book, line, parts, invoicedNanos, nowMs })
    })
  })
}

interface RowInput {
  readonly interval: UsageInterval
  readonly book: PriceBook
  readonly line: ChargeLine
  /** Of one price. */
  readonly parts: readonly ChargePart[]
  readonly invoicedNanos: bigint
  readonly nowMs: number
}

function usageRow({ interval, book, line, parts, invoicedNanos, nowMs }: RowInput): FocusRow {
  const [first] = parts
  const price = first?.price
  const unit = price?.unit ?? unpricedUnit(line.resource)
  const quantity = quantityOf(parts)
  const pricingQuantity = decimal(times(quantity, rational(1n, perUnitOf(unit))))
  const unitPrice = price?.price ?? '0'
  const names = namesOf(interval)
  const seconds = formatDecimal(BigInt(lengthMs(parts)), 3)
  const what = resourceNouns[line.resource]
  return {
    ...placeOf(interval, line.hourMs),
    fromMs: first?.fromMs ?? line.hourMs,
    toMs: parts.at(-1)?.toMs ?? line.hourMs,
    category: 'Usage',
    isCorrection: false,
    isSpot: price?.purchase === 'spot',
    description: `${what} of Pod ${names.namespace}/${names.pod} for ${seconds} s${price ? '' : ': the book has no price'}`,
    currency: line.currency,
    cost: productOf(pricingQuantity, unitPrice),
    unitPrice,
    pricingQuantity,
    pricingUnit: unit,
    consumedQuantity: consumed(parts, { resource: line.resource, untilMs: interval.endMs ?? nowMs }),
    consumedUnit: unpricedUnit(line.resource),
    sku: price?.sku ?? `unpriced-${line.resource}`,
    resource: line.resource,
    priceBook: book.id,
    spec: specAt(interval, first?.fromMs ?? interval.startMs),
    estimated: interval.confidence === 'estimated',
    exactCost: formatRational(price ? exactCost(parts, price) : zero),
    invoicedCost: formatNanos(invoicedNanos),
  }
}

/**
 * A correction in money has neither quantity nor price. What corrects a sealed period is FOCUS's `Correction`: billed in
 * the period in which it became known, and about the one that was sealed.
 */
export function correctionRow(
  adjustment: Adjustment,
  { interval, clusterUid }: { readonly interval: UsageInterval | undefined; readonly clusterUid: string },
): FocusRow {
  const { atMs, amount, currency, reason, incarnation, corrects } = adjustment
  const exact = parseDecimal(amount)
  return {
    ...correctedNames(adjustment, interval),
    clusterUid: interval?.clusterUid ?? clusterUid,
    billingPeriod: monthOf(atMs),
    incarnation,
    fromMs: corrects?.fromMs ?? atMs,
    toMs: corrects?.toMs ?? atMs,
    category: 'Adjustment',
    isCorrection: corrects !== undefined,
    isSpot: false,
    description: reason,
    currency,
    cost: amount,
    unitPrice: undefined,
    pricingQuantity: undefined,
    pricingUnit: undefined,
    consumedQuantity: undefined,
    consumedUnit: undefined,
    sku: undefined,
    resource: undefined,
    priceBook: undefined,
    spec: undefined,
    estimated: false,
    exactCost: formatRational(exact),
    invoicedCost: formatNanos(roundRational(exact, nanoScale, 'half_even')),
  }
}

/** As they were frozen with it, else as the Pod has them. */
export function correctedNames(
  { podUid, about }: Adjustment,
  interval: UsageInterval | undefined,
): BilledNames {
  const unknown = { namespace: '', workload: '', pod: '', podUid, pool: '', labels: {} }
  return { ...(interval ? namesOf(interval) : unknown), ...about }
}

const resourceNouns: Readonly<Record<BilledResource, string>> = { cpu: 'CPU', memory: 'Memory', gpu: 'GPU' }

function placeOf(
  interval: UsageInterval,
  atMs: number,
): BilledNames & Pick<FocusRow, 'clusterUid' | 'billingPeriod' | 'incarnation'> {
  const { clusterUid, incarnation } = interval
  return { ...namesOf(interval), clusterUid, incarnation, billingPeriod: monthOf(atMs) }
}

function monthOf(ms: number): { readonly fromMs: number; readonly toMs: number } {
  const at = new Date(ms)
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()]
  return { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) }
}

function specAt({ segments }: UsageInterval, ms: number): string | undefined {
  const segment = segments.findLast(({ fromMs }) => fromMs <= ms) ?? segments[0]
  return segment && formatSpec(segment.terms.spec)
}

function lengthMs(parts: readonly ChargePart[]): number {
  return parts.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
}

/** In milli-core·ms, MiB·ms or GPU·ms. */
function quantityOf(parts: readonly ChargePart[]): Rational {
  return rational(parts.reduce((sum, { fromMs, toMs, size }) => sum + size * BigInt(toMs - fromMs), 0n))
}

/** What ran, where the book bills more than that: a minimum, or started seconds. */
function consumed(
  parts: readonly ChargePart[],
  { resource, untilMs }: { readonly resource: BilledResource; readonly untilMs: number },
): string {
  const ran = parts.map((part) => ({
    ...part,
    toMs: Math.max(part.fromMs, Math.min(part.toMs, untilMs)),
  }))
  return decimal(times(quantityOf(ran), rational(1n, perUnitOf(unpricedUnit(resource)))))
}

function unpricedUnit(resource: BilledResource): PriceUnit {
  switch (resource) {
    case 'cpu':
      return 'Core-Seconds'
    case 'memory':
      return 'GiB-Seconds'
    case 'gpu':
      return 'GPU-Seconds'
    default:
      return assertNever(resource, 'billed resource')
  }
}

function exactCost(parts: readonly ChargePart[], { price, unit }: Price): Rational {
  return times(quantityOf(parts), times(parseDecimal(price), rational(1n, perUnitOf(unit))))
}

function decimal(value: Rational): string {
  return formatDecimal(roundRational(value, quantityPlaces, 'half_even'), quantityPlaces)
}

/** Of two decimals, as a decimal: nothing is rounded. */
function productOf(a: string, b: string): string {
  const places = fractionOf(a) + fractionOf(b)
  return formatDecimal(roundRational(times(parseDecimal(a), parseDecimal(b)), places, 'half_even'), places)
}

function fractionOf(text: string): number {
  return text.split('.')[1]?.length ?? 0
}
