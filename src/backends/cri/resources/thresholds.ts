import { parseBytes } from '../../../model/quantity.ts'

/** kubelet's names for what has to be left of something. */
export const evictionSignals = [
  'imagefs.available',
  'imagefs.inodesFree',
  'memory.available',
  'nodefs.available',
  'nodefs.inodesFree',
  'pid.available',
] as const

export type EvictionSignal = (typeof evictionSignals)[number]

/** By signal: an amount, or a share of the whole as in `10%`. */
export type Thresholds = Readonly<Record<EvictionSignal, string>>

/** kubelet's (pkg/kubelet/eviction/defaults_linux.go), and one for process ids, for which kubelet has none. */
export const defaultThresholds: Thresholds = {
  'imagefs.available': '15%',
  'imagefs.inodesFree': '5%',
  'memory.available': '100Mi',
  'nodefs.available': '10%',
  'nodefs.inodesFree': '5%',
  'pid.available': '5%',
}

/** How much of `whole` has to be left. Shares are counted to a hundredth of a percent. */
export function leastOf(threshold: string, whole: bigint): bigint {
  if (!threshold.endsWith('%')) return parseBytes(threshold)
  return (whole * BigInt(Math.round(Number(threshold.slice(0, -1)) * 100))) / 10_000n
}
