import type { Pod } from '../model/kubernetes.ts'
import {
  compare,
  formatDecimal,
  formatNanos,
  nanoScale,
  plus,
  rational,
  roundRational,
  times,
  type Rational,
} from '../model/money.ts'
import {
  priceAt,
  rateOf,
  resourceOf,
  type BilledResource,
  type PriceBook,
  type PriceKind,
  type SpecRow,
} from '../model/price-book.ts'
import { chooseSpec, formatMiB, formatSpec, type Spec } from '../model/spec.ts'
import { hourlyPrice } from './spending.ts'

/** What changes for whoever goes from one book to another. Amounts are decimal strings, percents signed: `+12.5`. */
export interface BookComparison {
  readonly from: ComparedBook
  readonly to: ComparedBook
  /** How time and amounts are rounded, what is added, how requests are read. */
  readonly rules: readonly Changed<string>[]
  readonly prices: readonly ComparedPrice[]
  /** Of both tables; none of a book that bills 1:1. */
  readonly cells: readonly ComparedCell[]
  readonly samples: readonly ComparedSample[]
}

export interface ComparedBook {
  readonly id: string
  readonly currency: string
}

export interface Changed<T> {
  readonly what: string
  /** Undefined: that book has none. */
  readonly was: T | undefined
  readonly is: T | undefined
}

export interface ComparedPrice extends Changed<HourPrice> {
  /** Undefined in other currencies, and where one of them has none or is 0. */
  readonly changePercent: string | undefined
}

export interface HourPrice {
  readonly sku: string
  /** Of a core, a GiB or a card for an hour. */
  readonly perHour: string
}

export interface ComparedCell extends Changed<string> {
  readonly changePercent: string | undefined
}

export interface ComparedSample {
  readonly pod: string
  readonly was: SampleSize
  readonly is: SampleSize
  readonly changePercent: string | undefined
}

export type SampleSize =
  { readonly size: string; readonly perHour: string } | { readonly size: undefined; readonly error: string }

export interface Sample {
  readonly name: string
  readonly pod: Pod
}

/** By the prices of that instant. Pure. */
export function compareBooks(
  from: PriceBook,
  to: PriceBook,
  { atMs, samples }: { readonly atMs: number; readonly samples: readonly Sample[] },
): BookComparison {
  const percent = from.currency === to.currency ? changePercent : () => undefined
  const both = { from, to, atMs, percent }
  return {
    from: { id: from.id, currency: from.currency },
    to: { id: to.id, currency: to.currency },
    rules: changedRules(from, to),
    prices: comparePrices(both),
    cells: compareCells(both),
    samples: samples.map((sample) => compareSample(sample, both)),
  }
}

interface Both {
  readonly from: PriceBook
  readonly to: PriceBook
  readonly atMs: number
  readonly percent: (before: Rational | undefined, after: Rational | undefined) => string | undefined
}

function changedRules(from: PriceBook, to: PriceBook): Changed<string>[] {
  const [before, after] = [rulesOf(from), rulesOf(to)]
  return Object.keys(before).flatMap((what) => {
    const [was, is] = [before[what], after[what]]
    return was === is ? [] : [{ what, was, is }]
  })
}

function rulesOf(book: PriceBook): Record<string, string> {
  const { lineRounding: line, hourRounding: hour, specTable } = book
  return {
    currency: book.currency,
    'billed at least': `${book.minimumSeconds} s`,
    'started seconds': book.secondRounding === 'up' ? 'count whole' : 'count by milliseconds',
    'memory added': formatMiB(book.memoryOverheadMiB),
    'lines rounded': `${line.mode} at ${line.scale} places${line.dropBelow === undefined ? '' : `, nothing below ${line.dropBelow}`}`,
    'hours rounded': hour ? `${hour.mode} at ${hour.scale} places below ${hour.below}` : 'not',
    'billed size': specTable.kind === 'exact' ? 'what is asked for' : 'a cell of a table',
    'asked for': specTable.kind === 'exact' ? 'requests' : (specTable.demand ?? 'requests-or-largest-limit'),
  }
}

function comparePrices({ from, to, atMs, percent }: Both): ComparedPrice[] {
  const kinds = new Map(
    [...from.prices, ...to.prices].map(({ unit, purchase, cpuType, gpuModel }) => {
      const resource = resourceOf(unit)
      const kind = {
        ...(cpuType !== undefined && { cpuType }),
        ...(gpuModel !== undefined && { gpuModel }),
        ...(purchase !== undefined && { purchase }),
      }
      return [JSON.stringify([resource, kind]), { resource, kind }]
    }),
  )
  return [...kinds.values()].map(({ resource, kind }) => {
    const [before, after] = [from, to].map((book) => hourPriceOf(book, { resource, kind, atMs }))
    return {
      what: [resource, ...Object.values(kind)].join(' '),
      was: before?.told,
      is: after?.told,
      changePercent: percent(before?.amount, after?.amount),
    }
  })
}

/** Of an entry of just that kind: what would hold in its place is compared by its own name. */
function hourPriceOf(
  book: PriceBook,
  { resource, kind, atMs }: { resource: BilledResource; kind: PriceKind; atMs: number },
): { readonly told: HourPrice; readonly amount: Rational } | undefined {
  const price = priceAt(book, resource, atMs, kind)
  const isOfKind =
    price &&
    price.purchase === kind.purchase &&
    price.cpuType === kind.cpuType &&
    price.gpuModel === kind.gpuModel
  if (!isOfKind) return undefined
  const amount = times(rateOf(price), rational(perUnit[resource] * 3_600_000n))
  return { told: { sku: price.sku, perHour: told(amount) }, amount }
}

const perUnit: Readonly<Record<BilledResource, bigint>> = { cpu: 1000n, memory: 1024n, gpu: 1n }

function compareCells({ from, to, atMs, percent }: Both): ComparedCell[] {
  const [before, after] = [cellsOf(from), cellsOf(to)]
  const names = [...new Set([...before.keys(), ...after.keys()])]
  const priceOf = (book: PriceBook, spec: Spec | undefined): Rational | undefined =>
    spec && hourlyPrice(spec, book, atMs)
  return names
    .map((what) => {
      const [was, is] = [priceOf(from, before.get(what)), priceOf(to, after.get(what))]
      const spec = before.get(what) ?? after.get(what)
      const row = { what, was: was && told(was), is: is && told(is), changePercent: percent(was, is) }
      return { row, spec }
    })
    .sort((a, b) => compareSpecs(a.spec, b.spec))
    .map(({ row }) => row)
}

/** By name: `4 cores, 8 GiB`. */
function cellsOf({ specTable }: PriceBook): Map<string, Spec> {
  if (specTable.kind === 'exact') return new Map()
  const { rows, otherCpuTypes = [], gpuRows } = specTable
  const ofRows = (all: readonly SpecRow[], cpuType?: string): Spec[] =>
    all.flatMap(({ cpuMillis, memoryMiB }) =>
      memoryMiB.map((mib) => ({
        cpuMillis,
        memoryMiB: mib,
        gpus: 0n,
        ...(cpuType !== undefined && { cpuType }),
      })),
    )
  const specs = [
    ...ofRows(rows),
    ...otherCpuTypes.flatMap((other) => ofRows(other.rows, other.cpuType)),
    ...gpuRows,
  ]
  return new Map(specs.map((spec) => [formatSpec(spec), spec]))
}

function compareSpecs(a: Spec | undefined, b: Spec | undefined): number {
  const keys = [a, b].map((spec) => [
    spec?.gpuModel ?? '',
    spec?.cpuType ?? '',
    String(spec?.gpus ?? 0n).padStart(6, '0'),
    String(spec?.cpuMillis ?? 0n).padStart(12, '0'),
    String(spec?.memoryMiB ?? 0n).padStart(12, '0'),
  ])
  const [one, other] = keys.map((key) => key.join('\n'))
  return (one ?? '') < (other ?? '') ? -1 : 1
}

function compareSample({ name, pod }: Sample, { from, to, atMs, percent }: Both): ComparedSample {
  const [was, is] = [from, to].map((book) => {
    const choice = chooseSpec(pod, book)
    if (!choice.ok) return { shown: { size: undefined, error: choice.error }, amount: undefined }
    const amount = hourlyPrice(choice.spec, book, atMs)
    return { shown: { size: formatSpec(choice.spec), perHour: told(amount) }, amount }
  }) as [PricedSample, PricedSample]
  return { pod: name, was: was.shown, is: is.shown, changePercent: percent(was.amount, is.amount) }
}

interface PricedSample {
  readonly shown: SampleSize
  readonly amount: Rational | undefined
}

/** To a tenth of a percent. */
function changePercent(before: Rational | undefined, after: Rational | undefined): string | undefined {
  if (!before || !after || before.num === 0n) return undefined
  const inverse = { num: before.den, den: before.num }
  const change = plus(times(times(after, inverse), rational(100n)), rational(-100n))
  const tenths = roundRational(change, 1, 'half_even')
  return `${compare(change, rational(0n)) > 0 && tenths > 0n ? '+' : ''}${formatDecimal(tenths, 1)}`
}

function told(amount: Rational): string {
  return formatNanos(roundRational(amount, nanoScale, 'half_even'))
}

const sampleSizes: readonly (readonly [cpu: string, memory: string])[] = [
  ['100m', '128Mi'],
  ['250m', '512Mi'],
  ['500m', '1Gi'],
  ['1', '2Gi'],
  ['1', '8Gi'],
  ['2', '4Gi'],
  ['2', '16Gi'],
  ['4', '8Gi'],
  ['4', '33Gi'],
  ['8', '32Gi'],
  ['16', '64Gi'],
]

/** Pods as people have them, and one that asks for nothing. */
export const usualSamples: readonly Sample[] = [
  { name: 'nothing', pod: { spec: { containers: [{ name: 'main' }] } } },
  ...sampleSizes.map(([cpu, memory]) => {
    const resources = { requests: { cpu, memory } }
    return { name: `${cpu} CPU, ${memory}`, pod: { spec: { containers: [{ name: 'main', resources }] } } }
  }),
]
