import { formatNanos, nanoScale, roundRational } from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'
import { formatSpec } from '../model/spec.ts'
import { chargeLines } from './charges.ts'
import type { PodHistory } from './projection.ts'
import { bookOf, hourlyPrice } from './spending.ts'

/** What a Pod is billed by, in words for people. */
export interface PriceTags {
  /** As in `2 cores, 4 GiB`. */
  readonly spec: string
  /** As in `0.0512 USD`. */
  readonly pricePerHour: string
  /** All that it has cost, as on the bill: the sum of its rounded lines. Undefined while it runs, or may run again. */
  readonly cost: string | undefined
}

/** Undefined: it is not let in yet, or its size is not known. LedgerCorrupt: the ledger does not hold its price book. */
export function priceTags(
  { terms, intervals }: PodHistory,
  books: ReadonlyMap<string, PriceBook>,
  { nowMs, isOver }: { readonly nowMs: number; readonly isOver: boolean },
): PriceTags | undefined {
  const { spec, priceBook } = intervals.at(-1)?.segments.at(-1)?.terms ?? terms ?? {}
  const book = priceBook === undefined ? undefined : books.get(priceBook)
  if (!spec || !book) return undefined
  const hourly = roundRational(hourlyPrice(spec, book, nowMs), nanoScale, 'half_even')
  const isClosed = isOver && intervals.every(({ endMs }) => endMs !== undefined)
  const cost = intervals
    .flatMap((interval) => {
      const own = bookOf(interval, books)
      return own ? chargeLines(interval, own, { nowMs }) : []
    })
    .reduce((sum, { nanos }) => sum + nanos, 0n)
  return {
    spec: formatSpec(spec),
    pricePerHour: `${formatNanos(hourly)} ${book.currency}`,
    cost: isClosed ? `${formatNanos(cost)} ${book.currency}` : undefined,
  }
}
