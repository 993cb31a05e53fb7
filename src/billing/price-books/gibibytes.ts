/** Every `step` GiB from one to the other, in MiB: `gibibytes(4, 16)`. */
export function gibibytes(from: number, to: number, step = 1): bigint[] {
  const count = Math.floor((to - from) / step) + 1
  return Array.from({ length: count }, (_, index) => BigInt(from + index * step) * 1024n)
}
