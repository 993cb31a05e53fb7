import type { PriceBook } from '../../src/model/price-book.ts'
import type { TrueSpec } from './ledger-world.ts'

/**
 * A third way to a bill's lines, sharing nothing with src/billing, which cuts time into slices: here every stretch of a
 * size is laid over every stretch of a price and over every UTC hour, and what lies under all three is paid. Whole
 * numbers over one huge denominator; nothing is rounded before the end.
 */
export interface HeldLife {
  readonly startMs: number
  readonly endMs: number
  /** Ascending by instant; the first from `-Infinity` on. */
  readonly sizes: readonly { readonly fromMs: number; readonly spec: TrueSpec }[]
}

export interface ExactLine {
  readonly sku: string | null
  readonly resource: string
  readonly hourMs: number
  /** In units of 1 / `oneUnit` of the currency. */
  readonly amount: bigint
  /** Milli-core·ms, MiB·ms or GPU·ms. */
  readonly quantity: bigint
}

const hourMs = 3_600_000
const pricePlaces = 9
/** What `amount` is counted in: prices of nine places, per 1000 milli-cores or 1024 MiB, per hour in milliseconds. */
export const oneUnit = 10n ** BigInt(pricePlaces) * 1000n * 1024n * BigInt(hourMs)

export function exactLines(life: HeldLife, book: PriceBook): ExactLine[] {
  const endMs = billedEnd(life, book)
  // What is given at the end or after it was not held: a minimum beyond the end is paid at the size of before.
  const sizes = life.sizes.filter(({ fromMs }) => fromMs <= life.startMs || fromMs < life.endMs)
  const lines = new Map<string, ExactLine>()
  for (let hour = life.startMs - (life.startMs % hourMs); hour < endMs; hour += hourMs) {
    for (const [index, { fromMs, spec }] of sizes.entries()) {
      const held = overlap(
        { fromMs: life.startMs, toMs: endMs },
        { fromMs: hour, toMs: hour + hourMs },
        { fromMs, toMs: sizes[index + 1]?.fromMs ?? Infinity },
      )
      if (held.toMs <= held.fromMs) continue
      for (const resource of ['cpu', 'memory', 'gpu'] as const) {
        for (const { amount, quantity, sku } of paid(book, resource, held, spec)) {
          const key = `${sku} ${resource} ${hour}`
          const before = lines.get(key) ?? { amount: 0n, quantity: 0n }
          const sum = { amount: before.amount + amount, quantity: before.quantity + quantity }
          lines.set(key, { sku, resource, hourMs: hour, ...sum })
        }
      }
    }
  }
  return [...lines.values()]
}

interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

/** What one size costs over one stretch, by price; what no price covers costs nothing and is told all the same. */
function paid(
  book: PriceBook,
  resource: 'cpu' | 'memory' | 'gpu',
  held: Stretch,
  spec: TrueSpec,
): Pick<ExactLine, 'sku' | 'amount' | 'quantity'>[] {
  const size = { cpu: spec.cpuMillis, memory: spec.memoryMiB, gpu: spec.gpus }[resource]
  if (size === 0n) return []
  const found: Pick<ExactLine, 'sku' | 'amount' | 'quantity'>[] = []
  let coveredMs = 0
  for (const { sku, unit, price, validFrom, validTo } of book.prices) {
    const [what = '', time] = unit.split('-')
    if ({ Core: 'cpu', GiB: 'memory', GPU: 'gpu' }[what] !== resource) continue
    const valid = { fromMs: time_(validFrom, -Infinity), toMs: time_(validTo, Infinity) }
    const both = overlap(held, valid)
    const ms = both.toMs - both.fromMs
    if (ms <= 0) continue
    coveredMs += ms
    const perUnit = { Core: 1000n, GiB: 1024n, GPU: 1n }[what] ?? 1n
    const perMs = time === 'Hours' ? BigInt(hourMs) : 1000n
    const quantity = size * BigInt(ms)
    found.push({ sku, quantity, amount: (decimalUnits(price) * quantity * oneUnit) / scale(perUnit, perMs) })
  }
  const bareMs = held.toMs - held.fromMs - coveredMs
  return bareMs > 0 ? [...found, { sku: null, amount: 0n, quantity: size * BigInt(bareMs) }] : found
}

/** Divides `oneUnit` without rest, whatever the unit of the price is. */
function scale(perUnit: bigint, perMs: bigint): bigint {
  return 10n ** BigInt(pricePlaces) * perUnit * perMs
}

function overlap(...stretches: readonly Stretch[]): Stretch {
  return {
    fromMs: Math.max(...stretches.map(({ fromMs }) => fromMs)),
    toMs: Math.min(...stretches.map(({ toMs }) => toMs)),
  }
}

function billedEnd({ startMs, endMs }: HeldLife, book: PriceBook): number {
  const ranMs = endMs - startMs
  const seconds = book.secondRounding === 'up' ? Math.ceil(ranMs / 1000) * 1000 : ranMs
  return startMs + Math.max(seconds, book.minimumSeconds * 1000)
}

function time_(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : new Date(text).getTime()
}

/** In units of the ninth place: `0.04` is 40000000n. */
export function decimalUnits(text: string): bigint {
  const [whole = '', fraction = ''] = text.split('.')
  return BigInt(whole + fraction.padEnd(pricePlaces, '0'))
}
