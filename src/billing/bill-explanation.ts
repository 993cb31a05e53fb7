import { assertNever } from '../model/assert.ts'
import {
  formatDecimal,
  formatNanos,
  nanoScale,
  parseRational,
  roundLine,
  roundRational,
} from '../model/money.ts'
import { unitNoun, type BilledResource, type Price, type PriceBook } from '../model/price-book.ts'
import { formatSpec } from '../model/spec.ts'
import type { ChargedInterval } from './bill-entries.ts'
import { namesOf } from './bill-query.ts'
import { unclipped } from './accounts.ts'
import { billedEndMs, type ChargeLine, type ChargePart } from './charges.ts'
import type { UsageSegment } from './projection.ts'

/** Why one sandbox's bill is what it is: the size, how long, the price, and each line of it. */
export interface ExplainedPod {
  readonly namespace: string
  readonly pod: string
  readonly podUid: string
  readonly incarnation: number
  readonly workload: string
  readonly pool: string
  readonly node: string
  readonly start: string
  /** Absent while it runs. */
  readonly end?: string
  readonly seconds: string
  /** Where the book has a minimum, or counts started seconds whole, and it made a difference. */
  readonly billedSeconds?: string
  /** How the end is known: `exact`, `recorded`, `estimated`, or `open`. */
  readonly endKnown: string
  readonly endReason?: string
  readonly priceBook: string
  /** Absent while the Pod's size is not known. */
  readonly book?: ExplainedBook
  /** `4 cores, 8 GiB`: the last, if it was resized. */
  readonly spec: string
  /** How the Pod's requests became the size, sentence by sentence. */
  readonly steps: readonly string[]
  /** Of a Pod whose size changed: every size that it was billed at, the first from the start on. */
  readonly sizes?: readonly ExplainedSize[]
  /** Every price that some line is made by. */
  readonly prices: readonly ExplainedPrice[]
  readonly lines: readonly ExplainedLine[]
  /** Of the lines that are in the bill's period. */
  readonly amount: string
  readonly currency: string
}

export interface ExplainedSize {
  readonly from: string
  readonly spec: string
  readonly steps: readonly string[]
}

/** Where the prices are from, and how the book rounds. */
export interface ExplainedBook {
  readonly source: string
  readonly retrievedAt: string
  /** `each line rounded half even at 9 places`, `at least 60 s`, … */
  readonly rules: readonly string[]
}

export interface ExplainedPrice {
  readonly sku: string
  /** `0.04 USD per core-hour`. */
  readonly price: string
  /** RFC 3339, half-open; absent without bound. */
  readonly validFrom?: string
  readonly validTo?: string
}

/** One invoice line, so that a reader can do the sum again. */
export interface ExplainedLine {
  /** Start of the UTC hour that the line belongs to. */
  readonly hour: string
  readonly sku?: string
  readonly resource: BilledResource
  /** `4 cores × 12.345 s × 0.000004976 USD per core-second`, a term for each part. */
  readonly formula: string
  /** Before rounding, exactly, as `num/den`. */
  readonly exact: string
  readonly amount: string
  readonly currency: string
}

export function explainPod({ interval, book, lines }: ChargedInterval, nowMs: number): ExplainedPod {
  const { pod, unknownPod, podUid, incarnation, startMs, endMs, confidence, closeReason, segments } = interval
  const terms = segments.at(-1)?.terms
  const sizes = segments.map(explainSize).filter(({ spec }, index, all) => spec !== all[index - 1]?.spec)
  const names = namesOf(interval)
  const ranMs = (endMs ?? Math.max(nowMs, startMs)) - startMs
  const billedMs = book ? billedEndMs(unclipped(interval), book, nowMs) - startMs : ranMs
  return {
    namespace: names.namespace,
    pod: names.pod,
    podUid,
    incarnation,
    workload: pod ? names.workload : '',
    pool: names.pool,
    node: (pod ?? unknownPod).node,
    start: new Date(startMs).toISOString(),
    ...(endMs === undefined ? {} : { end: new Date(endMs).toISOString() }),
    seconds: secondsText(ranMs),
    ...(billedMs === ranMs ? {} : { billedSeconds: secondsText(billedMs) }),
    endKnown: confidence ?? 'open',
    ...(closeReason === undefined ? {} : { endReason: closeReason }),
    priceBook: terms?.priceBook ?? '',
    ...(book && { book: explainBook(book) }),
    spec: terms ? formatSpec(terms.spec) : 'not known yet',
    steps: terms?.steps ?? [],
    ...(sizes.length > 1 && { sizes }),
    prices: pricesOf(lines),
    lines: book ? lines.map((line) => explainLine(line, book)) : [],
    amount: formatNanos(lines.reduce((sum, { nanos }) => sum + nanos, 0n)),
    currency: book?.currency ?? '',
  }
}

function explainSize({ fromMs, terms }: UsageSegment): ExplainedSize {
  return { from: new Date(fromMs).toISOString(), spec: formatSpec(terms.spec), steps: terms.steps }
}

function explainBook({
  source,
  retrievedAt,
  minimumSeconds,
  secondRounding,
  lineRounding: { mode, scale, dropBelow },
}: PriceBook): ExplainedBook {
  return {
    source,
    retrievedAt,
    rules: [
      ...(secondRounding === 'up' ? ['a started second counts whole'] : []),
      ...(minimumSeconds > 0 ? [`at least ${minimumSeconds} s`] : []),
      `each line rounded ${mode.replace('_', ' ')} at ${scale} places`,
      ...(dropBelow === undefined ? [] : [`a line under ${dropBelow} costs nothing`]),
    ],
  }
}

function pricesOf(lines: readonly ChargeLine[]): ExplainedPrice[] {
  const used = new Map<string, ExplainedPrice>()
  for (const { parts, currency } of lines) {
    for (const { price } of parts) {
      if (!price) continue
      const { sku, validFrom, validTo } = price
      const validity = { ...(validFrom && { validFrom }), ...(validTo && { validTo }) }
      used.set(JSON.stringify([sku, validFrom]), { sku, price: priceText(price, currency), ...validity })
    }
  }
  return [...used.values()]
}

function priceText({ price, unit }: Price, currency: string): string {
  return `${price} ${currency} per ${unitNoun(unit)}`
}

function secondsText(ms: number): string {
  return formatDecimal(BigInt(ms), 3)
}

export function explainLine(line: ChargeLine, book: PriceBook): ExplainedLine {
  const { sku, resource, parts, exact, nanos, currency } = line
  return {
    hour: new Date(line.hourMs).toISOString(),
    ...(sku === undefined ? {} : { sku }),
    resource,
    formula: `${parts.map((part) => explainPart(part, resource, currency)).join(' + ')}${roundingOf(line, book)}`,
    exact,
    amount: formatNanos(nanos),
    currency,
  }
}

function explainPart(
  { fromMs, toMs, size, price }: ChargePart,
  resource: BilledResource,
  currency: string,
): string {
  const time = `${secondsText(toMs - fromMs)} s`
  const amount = `${sizeText(size, resource)} × ${time}`
  if (!price) return `${amount}, for which the book has no price`
  const hourly = price.unit.endsWith('-Hours') ? ' ÷ 3600' : ''
  return `${amount} × ${priceText(price, currency)}${hourly}`
}

function roundingOf({ exact, nanos }: ChargeLine, { lineRounding, hourRounding }: PriceBook): string {
  const value = parseRational(exact)
  const isWhole = value.num * 10n ** BigInt(nanoScale) === nanos * value.den
  if (isWhole) return ''
  const told = formatDecimal(roundRational(value, nanoScale + 3, 'half_even'), nanoScale + 3)
  if (hourRounding && nanos !== roundLine(value, lineRounding)) {
    const { below, mode, scale } = hourRounding
    return ` = ${told}; under ${below}, all lines of the hour are rounded together, ${mode.replace('_', ' ')} at ${scale} places`
  }
  return ` = ${told}, rounded ${lineRounding.mode.replace('_', ' ')} at ${lineRounding.scale} places`
}

function sizeText(size: bigint, resource: BilledResource): string {
  switch (resource) {
    case 'cpu':
      return `${formatDecimal(size, 3)} ${size === 1000n ? 'core' : 'cores'}`
    case 'memory':
      return size % 1024n === 0n ? `${size / 1024n} GiB` : `${size}/1024 GiB`
    case 'gpu':
      return `${size} GPU`
    default:
      return assertNever(resource, 'billed resource')
  }
}
