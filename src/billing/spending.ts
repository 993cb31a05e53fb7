import { SpillwayError } from '../model/errors.ts'
import {
  formatNanos,
  nanoScale,
  plus,
  rational,
  roundRational,
  times,
  zero,
  type Rational,
} from '../model/money.ts'
import { priceAt, rateOf, type PriceBook } from '../model/price-book.ts'
import { formatSpec, type Spec } from '../model/spec.ts'
import type { BillTotal } from './bill-rows.ts'
import { billedResources, hourMs, sizeOf } from './charges.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageInterval } from './projection.ts'

/** What one running Pod is billed by, for `spillway status`. */
export interface RunningPod {
  readonly podUid: string
  readonly namespace: string
  readonly pod: string
  readonly pool: string
  readonly node: string
  /** `1 core, 2 GiB`; empty while the size is not known. */
  readonly spec: string
  /** Undefined while the size is not known. */
  readonly perHour: BillTotal | undefined
  readonly billedSinceMs: number
}

/** Every Pod that is billed just now, by start. */
export async function runningPods(
  ledger: LedgerStore,
  nowMs: number,
  signal: AbortSignal,
): Promise<readonly RunningPod[]> {
  const [intervals, books] = await openAndBooks(ledger, signal)
  return intervals.map((interval) => {
    const { podUid, pod, unknownPod, startMs } = interval
    const spec = interval.segments.at(-1)?.terms.spec
    const book = bookOf(interval, books)
    const { namespace, name, node } = pod ?? unknownPod
    const perHour = spec && book && roundedTotal(book.currency, hourlyPrice(spec, book, nowMs))
    return {
      podUid,
      namespace,
      pod: name,
      pool: pod?.pool ?? '',
      node,
      spec: spec ? formatSpec(spec) : '',
      perHour,
      billedSinceMs: startMs,
    }
  })
}

/** What all that runs now costs an hour, a total for each currency. */
export async function spendPerHourNow(
  ledger: LedgerStore,
  nowMs: number,
  signal: AbortSignal,
): Promise<readonly BillTotal[]> {
  const [intervals, books] = await openAndBooks(ledger, signal)
  const sums = new Map<string, Rational>()
  for (const interval of intervals) {
    const book = bookOf(interval, books)
    const spec = interval.segments.at(-1)?.terms.spec
    if (!book || !spec) continue
    sums.set(book.currency, plus(sums.get(book.currency) ?? zero, hourlyPrice(spec, book, nowMs)))
  }
  return [...sums].map(([currency, sum]) => roundedTotal(currency, sum))
}

/** The price of a size for an hour, exactly, at an instant. What has no price adds nothing. */
export function hourlyPrice(spec: Spec, book: PriceBook, atMs: number): Rational {
  return billedResources
    .map((resource) => {
      const price = priceAt(book, resource, atMs, spec)
      return price ? times(rational(sizeOf(spec, resource) * BigInt(hourMs)), rateOf(price)) : zero
    })
    .reduce(plus, zero)
}

/** The book of the interval's terms; undefined while they are not known. LedgerCorrupt: the ledger does not hold it. */
export function bookOf(
  interval: UsageInterval,
  books: ReadonlyMap<string, PriceBook>,
): PriceBook | undefined {
  const id = interval.segments[0]?.terms.priceBook
  if (id === undefined) return undefined
  const book = books.get(id)
  if (!book)
    throw new SpillwayError('LedgerCorrupt', `the ledger bills by price book "${id}" and does not hold it`)
  return book
}

async function openAndBooks(
  ledger: LedgerStore,
  signal: AbortSignal,
): Promise<[readonly UsageInterval[], ReadonlyMap<string, PriceBook>]> {
  const [intervals, books] = await Promise.all([ledger.openIntervals(signal), ledger.priceBooks(signal)])
  return [intervals, new Map(books.map((book) => [book.id, book]))]
}

function roundedTotal(currency: string, sum: Rational): BillTotal {
  return { currency, amount: formatNanos(roundRational(sum, nanoScale, 'half_even')) }
}
