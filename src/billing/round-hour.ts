import {
  compare,
  nanoScale,
  parseDecimal,
  plus,
  roundLine,
  roundRational,
  zero,
  type Rational,
} from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'

/**
 * The amounts of one sandbox's lines of one UTC hour in nano-units: each rounded by itself, or, where the book has a rule
 * for small sums, the sum rounded and given out again, so that bills are sums of lines by any book.
 */
export function roundHour(
  costs: readonly Rational[],
  { lineRounding, hourRounding }: Pick<PriceBook, 'lineRounding' | 'hourRounding'>,
): bigint[] {
  const sum = costs.reduce(plus, zero)
  if (!hourRounding || compare(sum, parseDecimal(hourRounding.below)) >= 0) {
    return costs.map((cost) => roundLine(cost, lineRounding))
  }
  const { scale, mode } = hourRounding
  return giveOut(roundRational(sum, scale, mode) * 10n ** BigInt(nanoScale - scale), costs, sum)
}

/** In proportion to the costs, in whole nano-units; what is left over goes to the largest. */
function giveOut(nanos: bigint, costs: readonly Rational[], sum: Rational): bigint[] {
  if (sum.num === 0n) return costs.map(() => 0n)
  const shares = costs.map(({ num, den }) => (nanos * num * sum.den) / (den * sum.num))
  const rest = shares.reduce((left, share) => left - share, nanos)
  const largest = shares.reduce((best, share, index) => (share > (shares[best] ?? 0n) ? index : best), 0)
  return shares.map((share, index) => (index === largest ? share + rest : share))
}
