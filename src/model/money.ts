/**
 * Exact arithmetic for money: rationals over bigint, rounded once and by a named rule. Never a `number`: 2^53 is passed
 * by a month of a thousand Pods, and 0.1 + 0.2 is not 0.3.
 */
export interface Rational {
  readonly num: bigint
  /** Always positive, and without a factor in common with `num`. */
  readonly den: bigint
}

export type RoundingMode = 'half_even' | 'half_up'

/** How the amount of one invoice line is rounded. */
export interface LineRounding {
  /** Decimal places kept, 0–9. */
  readonly scale: number
  readonly mode: RoundingMode
  /** A decimal string: what is smaller, before rounding, costs nothing. */
  readonly dropBelow?: string
}

/** Decimal places of the unit that amounts are kept in: a nano-unit is a thousand-millionth of the currency's unit. */
export const nanoScale = 9

/** In lowest terms. Throws on a denominator of 0. */
export function rational(num: bigint, den: bigint = 1n): Rational {
  if (den === 0n) throw new Error('a rational with denominator 0')
  const divisor = greatestCommonDivisor(num, den)
  const sign = den < 0n ? -1n : 1n
  return { num: (sign * num) / divisor, den: (sign * den) / divisor }
}

export const zero: Rational = { num: 0n, den: 1n }

export function plus(a: Rational, b: Rational): Rational {
  return rational(a.num * b.den + b.num * a.den, a.den * b.den)
}

export function times(a: Rational, b: Rational): Rational {
  return rational(a.num * b.num, a.den * b.den)
}

/** Negative when a < b, 0 when equal, positive when a > b. */
export function compare(a: Rational, b: Rational): number {
  const difference = a.num * b.den - b.num * a.den
  if (difference === 0n) return 0
  return difference < 0n ? -1 : 1
}

/** A plain decimal such as `0.000004976`, exactly. No exponent: prices are written out. */
export function parseDecimal(text: string): Rational {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (!match) throw new Error(`"${text}" is not a decimal number (digits, with an optional fraction)`)
  const [, sign = '', whole = '', fraction = ''] = match
  return rational(BigInt(`${sign}${whole}${fraction}`), 10n ** BigInt(fraction.length))
}

/** `num/den`, as the ledger keeps what must not be rounded. */
export function formatRational(value: Rational): string {
  return `${value.num}/${value.den}`
}

export function parseRational(text: string): Rational {
  const match = /^(-?\d+)\/(\d+)$/.exec(text)
  if (!match) throw new Error(`"${text}" is not a rational (num/den)`)
  return rational(BigInt(match[1] ?? ''), BigInt(match[2] ?? ''))
}

/** The value in whole units of 10^-scale. Halves go to the even neighbour, or away from zero (`half_up`). */
export function roundRational(value: Rational, scale: number, mode: RoundingMode): bigint {
  const scaled = value.num * 10n ** BigInt(scale)
  const magnitude = scaled < 0n ? -scaled : scaled
  const floor = magnitude / value.den
  const twice = 2n * (magnitude % value.den)
  const up = twice > value.den || (twice === value.den && (mode === 'half_up' || floor % 2n === 1n))
  const rounded = up ? floor + 1n : floor
  return scaled < 0n ? -rounded : rounded
}

/** The amount of a line in nano-units, by the price book's rule. */
export function roundLine(value: Rational, rule: LineRounding): bigint {
  if (rule.dropBelow !== undefined && compare(value, parseDecimal(rule.dropBelow)) < 0) return 0n
  return roundRational(value, rule.scale, rule.mode) * 10n ** BigInt(nanoScale - rule.scale)
}

/** Whole units of 10^-scale as the shortest decimal: 437856000 at scale 9 is `0.437856`. */
export function formatDecimal(units: bigint, scale: number): string {
  const fixed = formatFixed(units, scale)
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed
}

/** Nano-units as the shortest decimal, for JSON and files. */
export function formatNanos(nanos: bigint): string {
  return formatDecimal(nanos, nanoScale)
}

const symbols: Readonly<Record<string, string>> = { USD: '$', EUR: '€', GBP: '£', CNY: 'CN¥' }

/**
 * For people: cents from one unit up, four places below, and further for what would vanish: `$12.35`, `$0.0123`,
 * `$0.0000082`. A currency without a symbol here is named: `CHF 1.20`.
 */
export function formatMoney(nanos: bigint, currency: string): string {
  const magnitude = nanos < 0n ? -nanos : nanos
  const places = placesFor(magnitude)
  const units = roundRational(rational(magnitude, 10n ** BigInt(nanoScale)), places, 'half_even')
  return `${nanos < 0n ? '-' : ''}${symbols[currency] ?? `${currency} `}${formatFixed(units, places)}`
}

function placesFor(magnitude: bigint): number {
  if (magnitude === 0n || magnitude >= 10n ** BigInt(nanoScale)) return 2
  const leadingZeros = nanoScale - String(magnitude).length
  return Math.min(Math.max(4, leadingZeros + 2), nanoScale)
}

function formatFixed(units: bigint, scale: number): string {
  if (scale === 0) return String(units)
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x
}
