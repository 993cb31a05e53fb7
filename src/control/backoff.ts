export interface BackoffPolicy {
  readonly firstMs: number
  readonly longestMs: number
  readonly factor: number
  /** Share of the delay that is random: 0.2 spreads 10 s over 8–12 s, so that many clients do not come back at once. */
  readonly jitter: number
}

/**
 * At most 5 s, not client-go's 30 s: after an outage of the API server statuses are to be right within seconds, and what
 * one process asks for every 5 s weighs little.
 */
export const defaultBackoff: BackoffPolicy = { firstMs: 200, longestMs: 5_000, factor: 2, jitter: 0.2 }

/** The delay before try number `failures + 1` (failures ≥ 1). `random` in [0, 1). */
export function backoffMs(policy: BackoffPolicy, failures: number, random: number): number {
  const plain = Math.min(policy.firstMs * policy.factor ** Math.max(failures - 1, 0), policy.longestMs)
  return Math.round(plain * (1 + policy.jitter * (2 * random - 1)))
}

/** The same as a function of the failures in a row, for what takes its delays as a parameter. */
export function jitteredBackoff(policy: BackoffPolicy, random: () => number): (failures: number) => number {
  return (failures) => backoffMs(policy, failures, random())
}
