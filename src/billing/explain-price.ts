import { hardwareLike } from '../model/hardware.ts'
import type { Pod } from '../model/kubernetes.ts'
import {
  compare,
  formatNanos,
  nanoScale,
  rational,
  roundRational,
  times,
  type Rational,
} from '../model/money.ts'
import type { PriceBook, Size } from '../model/price-book.ts'
import {
  chooseSpec,
  formatCores,
  formatMiB,
  formatSpec,
  sizeFor,
  type Demand,
  type Spec,
  type SpecWishes,
} from '../model/spec.ts'
import { hourlyPrice } from './spending.ts'

/** What a Pod would cost by one book. Amounts are decimal strings in `currency`, rounded to nano-units. */
export interface PriceExplanation {
  readonly priceBook: string
  readonly currency: string
  /** One sentence each: how what the Pod asks for becomes a size. */
  readonly steps: readonly string[]
  /** Undefined when the book has no size for it; `error` says why. */
  readonly size: PricedSize | undefined
  readonly error: string | undefined
  /** The smallest change of what it asks for that makes it cheaper; undefined when none is near. */
  readonly cheaper: CheaperChange | undefined
}

export interface PricedSize {
  /** As in `4 cores, 40 GiB`. */
  readonly spec: string
  readonly perSecond: string
  readonly perHour: string
  /** Whole percent of what is paid for that is not asked for. */
  readonly unusedPercent: { readonly cpu: number; readonly memory: number }
}

export interface CheaperChange {
  /** As in `ask for 32 GiB in place of 33 GiB`. */
  readonly change: string
  readonly size: PricedSize
  readonly savedPercent: number
}

/** Nobody can be told to do without more than that. */
const nearestCut = 0.15

/** The size of the Pod by the book, each step to it, and its price at that time. Pure. */
export function explainPrice(
  pod: Pod,
  book: PriceBook,
  atMs: number,
  wishes: SpecWishes = {},
): PriceExplanation {
  const choice = chooseSpec(pod, book, wishes)
  const common = { priceBook: book.id, currency: book.currency, steps: choice.steps }
  if (!choice.ok) return { ...common, size: undefined, error: choice.error, cheaper: undefined }
  const { spec, demand } = choice
  const size = priced(spec, demand, { book, atMs })
  return { ...common, size, error: undefined, cheaper: cheaperChange(demand, spec, { book, atMs }) }
}

interface Tariff {
  readonly book: PriceBook
  readonly atMs: number
}

function priced(spec: Spec, demand: Size, { book, atMs }: Tariff): PricedSize {
  const perHour = hourlyPrice(spec, book, atMs)
  const unused = (paid: bigint, asked: bigint): number =>
    paid > asked ? Number(((paid - asked) * 100n) / paid) : 0
  return {
    spec: formatSpec(spec),
    perSecond: amount(times(perHour, rational(1n, 3600n))),
    perHour: amount(perHour),
    unusedPercent: {
      cpu: unused(spec.cpuMillis, demand.cpuMillis),
      memory: unused(spec.memoryMiB, demand.memoryMiB + book.memoryOverheadMiB),
    },
  }
}

/** Cells of the table that are cheaper, by how much less the Pod would have to ask for. Prices by the exact size never step. */
function cheaperChange(demand: Demand, spec: Spec, tariff: Tariff): CheaperChange | undefined {
  const { book, atMs } = tariff
  const { specTable: table, memoryOverheadMiB: overheadMiB } = book
  if (table.kind !== 'stepped' || demand.gpus > 0n) return undefined
  const price = hourlyPrice(spec, book, atMs)
  const [sizes = { cpuType: undefined, rows: table.rows }] = hardwareLike(table, spec).cpu
  const [best] = sizes.rows
    .flatMap(({ cpuMillis, memoryMiB }) =>
      memoryMiB.map((cell) => ({ cpuMillis, memoryMiB: cell - overheadMiB })),
    )
    .map((cell) => less(demand, cell))
    .filter((wish) => cut(demand, wish) <= nearestCut)
    .flatMap((wish) => {
      const choice = sizeFor(wish, { table, overheadMiB, hardware: hardwareLike(table, spec) })
      if (!choice.ok) return []
      const smaller = { ...choice.spec, ...(spec.purchase && { purchase: spec.purchase }) }
      const found = hourlyPrice(smaller, book, atMs)
      return compare(found, price) < 0 ? [{ wish, spec: smaller, price: found }] : []
    })
    .sort((a, b) => cut(demand, a.wish) - cut(demand, b.wish) || compare(a.price, b.price))
  if (!best) return undefined
  return {
    change: describeChange(demand, best.wish),
    size: priced(best.spec, best.wish, tariff),
    savedPercent: savedPercent(price, best.price),
  }
}

/** What would still be asked for if that cell were to hold it; all of the cell when nothing was asked for. */
function less(demand: Demand, cell: Size): Demand {
  const smaller = (asked: bigint, held: bigint): bigint => (asked === 0n || asked > held ? held : asked)
  const isSilent = demand.cpuMillis === 0n && demand.memoryMiB === 0n
  return {
    ...demand,
    cpuMillis: isSilent || demand.cpuMillis > 0n ? smaller(demand.cpuMillis, cell.cpuMillis) : 0n,
    memoryMiB: isSilent || demand.memoryMiB > 0n ? smaller(demand.memoryMiB, cell.memoryMiB) : 0n,
  }
}

/** The larger share of either resource that is given up; nothing is by who says what was left to a default. */
function cut(demand: Demand, wish: Demand): number {
  const share = (asked: bigint, left: bigint): number =>
    asked > 0n ? Number(asked - left) / Number(asked) : 0
  return Math.max(share(demand.cpuMillis, wish.cpuMillis), share(demand.memoryMiB, wish.memoryMiB))
}

function describeChange(demand: Demand, wish: Demand): string {
  if (demand.cpuMillis === 0n && demand.memoryMiB === 0n) {
    return `ask for ${formatSpec({ ...wish, gpus: 0n })}, if that is enough, in place of nothing`
  }
  const changes = [
    wish.cpuMillis < demand.cpuMillis &&
      `${formatCores(wish.cpuMillis)} in place of ${formatCores(demand.cpuMillis)}`,
    wish.memoryMiB < demand.memoryMiB &&
      `${formatMiB(wish.memoryMiB)} in place of ${formatMiB(demand.memoryMiB)}`,
  ]
  return `ask for ${changes.filter(Boolean).join(' and ')}`
}

function savedPercent(before: Rational, after: Rational): number {
  const hundredfold = times(times(after, rational(100n)), { num: before.den, den: before.num })
  return 100 - Number(roundRational(hundredfold, 0, 'half_even'))
}

function amount(value: Rational): string {
  return formatNanos(roundRational(value, nanoScale, 'half_even'))
}
