/**
 * A second meter, deliberately dumb and sharing no code with src/billing: it walks a Pod's true life second by second
 * (a last piece shorter), looks up what the Pod held and what it cost at that instant, and keeps a sum per SKU and UTC
 * hour over one huge common denominator. Slow, and easy to believe.
 */
export interface TrueLife {
  readonly startMs: number
  readonly endMs: number
  /** What is held from `fromMs` on; ascending, the first at `startMs`. */
  readonly held: readonly TrueSize[]
}

export interface TrueSize {
  readonly fromMs: number
  readonly cores: string
  readonly gib: string
}

export interface TruePrice {
  readonly fromMs: number
  /** Per core-second and GiB-second. */
  readonly core: string
  readonly gib: string
}

// Sizes have at most ten decimal places (1/1024 GiB), prices nine, milliseconds three.
const places = 22

/** Nano-units, each (SKU, hour) rounded once, half to even. */
export function trueNanos(life: TrueLife, prices: readonly TruePrice[]): bigint {
  const sums = new Map<string, bigint>()
  const add = (key: string, amount: bigint): void => void sums.set(key, (sums.get(key) ?? 0n) + amount)
  let atMs = life.startMs
  while (atMs < life.endMs) {
    const nextMs = Math.min(...edges(life, prices, atMs), life.endMs)
    const size = life.held.filter(({ fromMs }) => fromMs <= atMs).at(-1)
    const price = prices.filter(({ fromMs }) => fromMs <= atMs).at(-1)
    const hour = new Date(atMs).toISOString().slice(0, 13)
    if (size && price) {
      const ms = BigInt(nextMs - atMs)
      add(`core ${hour}`, digits(size.cores, 10) * digits(price.core, 9) * ms)
      add(`gib ${hour}`, digits(size.gib, 10) * digits(price.gib, 9) * ms)
    }
    atMs = nextMs
  }
  return [...sums.values()].reduce((total, sum) => total + halfEven(sum), 0n)
}

/** The next whole second, and whatever comes before it. */
function edges(life: TrueLife, prices: readonly TruePrice[], atMs: number): number[] {
  const second = (Math.trunc(atMs / 1000) + 1) * 1000
  return [second, ...[...life.held, ...prices].map(({ fromMs }) => fromMs).filter((ms) => ms > atMs)]
}

/** "1.5" with two places is 150n. */
function digits(text: string, count: number): bigint {
  const [whole = '', fraction = ''] = text.split('.')
  if (fraction.length > count) throw new Error(`${text} has more than ${count} places`)
  return BigInt(whole + fraction.padEnd(count, '0'))
}

function halfEven(sum: bigint): bigint {
  const unit = 10n ** BigInt(places - 9)
  const below = sum / unit
  const rest = (sum % unit) * 2n
  if (rest < unit) return below
  if (rest > unit) return below + 1n
  return below % 2n === 0n ? below : below + 1n
}
