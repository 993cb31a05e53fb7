import { assertNever } from '../model/assert.ts'
import { formatDecimal, formatNanos, nanoScale, parseRational, roundRational } from '../model/money.ts'
import { unitNoun, type BilledResource, type PriceBook } from '../model/price-book.ts'
import { formatSpec } from '../model/spec.ts'
import type { ChargeLine, ChargePart } from './charges.ts'
import type { UsageInterval, UsageSegment } from './projection.ts'

/** Why a Pod's bill is what it is: the size, and how long. */
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
  /** How the end is known: `exact`, `recorded`, `estimated`, or `open`. */
  readonly endKnown: string
  readonly endReason?: string
  readonly priceBook: string
  /** `4 cores, 8 GiB`: the last, if it was resized. */
  readonly spec: string
  /** How the Pod's requests became the size, sentence by sentence. */
  readonly steps: readonly string[]
  /** Of a Pod whose size changed: every size that it was billed at, the first from the start on. */
  readonly sizes?: readonly ExplainedSize[]
}

export interface ExplainedSize {
  readonly from: string
  readonly spec: string
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

export function explainPod(interval: UsageInterval, nowMs: number): ExplainedPod {
  const { pod, unknownPod, podUid, incarnation, startMs, endMs, confidence, closeReason, segments } = interval
  const terms = segments.at(-1)?.terms
  const sizes = segments.map(explainSize).filter(({ spec }, index, all) => spec !== all[index - 1]?.spec)
  const { namespace, name, node } = pod ?? unknownPod
  return {
    namespace,
    pod: name,
    podUid,
    incarnation,
    workload: pod ? `${pod.workload.kind}/${pod.workload.name}` : '',
    pool: pod?.pool ?? '',
    node,
    start: new Date(startMs).toISOString(),
    ...(endMs === undefined ? {} : { end: new Date(endMs).toISOString() }),
    seconds: formatDecimal(BigInt((endMs ?? Math.max(nowMs, startMs)) - startMs), 3),
    endKnown: confidence ?? 'open',
    ...(closeReason === undefined ? {} : { endReason: closeReason }),
    priceBook: terms?.priceBook ?? '',
    spec: terms ? formatSpec(terms.spec) : 'not known yet',
    steps: terms?.steps ?? [],
    ...(sizes.length > 1 && { sizes }),
  }
}

function explainSize({ fromMs, terms }: UsageSegment): ExplainedSize {
  return { from: new Date(fromMs).toISOString(), spec: formatSpec(terms.spec) }
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
  const time = `${formatDecimal(BigInt(toMs - fromMs), 3)} s`
  const amount = `${sizeText(size, resource)} × ${time}`
  if (!price) return `${amount}, for which the book has no price`
  const hourly = price.unit.endsWith('-Hours') ? ' ÷ 3600' : ''
  return `${amount} × ${price.price} ${currency} per ${unitNoun(price.unit)}${hourly}`
}

function roundingOf({ exact, nanos }: ChargeLine, { lineRounding }: PriceBook): string {
  const value = parseRational(exact)
  const isWhole = value.num * 10n ** BigInt(nanoScale) === nanos * value.den
  if (isWhole) return ''
  const told = formatDecimal(roundRational(value, nanoScale + 3, 'half_even'), nanoScale + 3)
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
