import type { Pod } from '../model/kubernetes.ts'
import { nanoScale, type Rational } from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'
import { chooseSpec, type Spec, type SpecWishes } from '../model/spec.ts'
import { billedResources } from './charges.ts'
import { hourlyPrice } from './spending.ts'

/** What a size costs while it is held. */
export interface Rate {
  readonly currency: string
  readonly perHour: Rational
  /** Nano-units that rounding adds to the lines of one UTC hour at most. */
  readonly roundingNanos: bigint
  /** Billed at least that long, however short it is. */
  readonly minimumMs: number
}

/** By the prices of that instant. */
export function rateOfSpec(spec: Spec, book: PriceBook, atMs: number): Rate {
  const { lineRounding, hourRounding } = book
  const line = unitNanos(lineRounding.scale) * BigInt(billedResources.length)
  const hour = hourRounding ? unitNanos(hourRounding.scale) : 0n
  return {
    currency: book.currency,
    perHour: hourlyPrice(spec, book, atMs),
    roundingNanos: line > hour ? line : hour,
    // Started seconds may count whole.
    minimumMs: book.minimumSeconds * 1000 + (book.secondRounding === 'up' ? 1000 : 0),
  }
}

/** Of a Pod that is not billed yet. Undefined: the book has no size for it. */
export function rateOfPod(
  pod: Pod,
  book: PriceBook,
  atMs: number,
  wishes: SpecWishes = {},
): Rate | undefined {
  const choice = chooseSpec(pod, book, wishes)
  return choice.ok ? rateOfSpec(choice.spec, book, atMs) : undefined
}

function unitNanos(scale: number): bigint {
  return 10n ** BigInt(nanoScale - scale)
}
