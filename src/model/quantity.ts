/**
 * Kubernetes quantities, exact. Grammar and rounding: k8s.io/apimachinery/pkg/api/resource (a number, then a suffix
 * n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or e/E and an exponent; what is finer than the unit asked for rounds up).
 */
const pattern = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?0*\d{1,2})?$/

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18,
} // prettier-ignore

const binaryExponents: Readonly<Record<string, bigint>> = {
  Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n,
} // prettier-ignore

/** The quantity times 10^scale, rounded up (away from zero), as Quantity.ScaledValue does. */
export function parseQuantity(text: string, scale: number): bigint {
  const match = pattern.exec(text)
  if (!match) {
    throw new Error(
      `"${text}" is not a Kubernetes quantity (a number with an optional suffix, such as 250m, 1.5 or 2Gi)`,
    )
  }
  const [, sign, digits = '', suffix = ''] = match
  const [whole = '', fraction = ''] = digits.split('.')
  let numerator = BigInt(`${whole}${fraction}` || '0')
  let exponent = scale - fraction.length
  const binary = binaryExponents[suffix]
  if (binary !== undefined) numerator <<= binary
  else if (/^[eE]/.test(suffix) && suffix.length > 1) exponent += Number(suffix.slice(1))
  else exponent += decimalExponents[suffix] ?? 0
  const value =
    exponent >= 0 ? numerator * 10n ** BigInt(exponent) : divideUp(numerator, 10n ** BigInt(-exponent))
  return sign === '-' ? -value : value
}

function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}

// Nothing in the API is finer than a billionth.
const finest = 9

/** Below, at or above 0, as `sort` wants it. Exact, however the two are written. */
export function compareQuantities(a: string, b: string): number {
  const difference = parseQuantity(a, finest) - parseQuantity(b, finest)
  if (difference === 0n) return 0
  return difference < 0n ? -1 : 1
}

/** Thousandths of a core. */
export function parseCpuMillis(text: string): bigint {
  return parseQuantity(text, 3)
}

/** Bytes, or whole units of anything that is counted. */
export function parseBytes(text: string): bigint {
  return parseQuantity(text, 0)
}

/** As kubectl writes it: `250m`, `2`. */
export function formatCpu(cpuMillis: bigint): string {
  return cpuMillis % 1000n === 0n ? String(cpuMillis / 1000n) : `${cpuMillis}m`
}

/** The largest binary suffix that keeps it whole: `2Gi`, `1536Mi`, `1000`. */
export function formatBytes(bytes: bigint): string {
  let value = bytes
  let suffix = ''
  for (const next of ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']) {
    if (value === 0n || value % 1024n !== 0n) break
    value /= 1024n
    suffix = next
  }
  return `${value}${suffix}`
}

/** The largest decimal suffix that keeps it whole, as quantities that are no bytes are written: `5k`, `1234`. */
export function formatCount(count: bigint): string {
  let value = count
  let suffix = ''
  for (const next of ['k', 'M', 'G', 'T', 'P', 'E']) {
    if (value === 0n || value % 1000n !== 0n) break
    value /= 1000n
    suffix = next
  }
  return `${value}${suffix}`
}
