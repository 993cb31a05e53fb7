import type { Generation } from './generation.ts'

/** What is served with now, and what will be after it. */
export interface Generations {
  readonly current: Generation | undefined
  readonly next: Generation | undefined
}

/**
 * - `first`: make one and serve with it at once, since there is nothing to lose
 * - `next`: make the one that comes after it, so that the API server knows its authority long before it is served with
 * - `switch`: serve with the next from now on
 * - `keep`: nothing is due
 */
export type GenerationStep = 'first' | 'next' | 'switch' | 'keep'

/**
 * What is due. The next one is made at half of a life and served with from three quarters on: in between every API
 * server hears of its authority, however seldom we run. Pure.
 */
export function planGenerations(
  { current, next }: Generations,
  { address, nowMs }: { readonly address: string; readonly nowMs: number },
): GenerationStep {
  const isGood = (one: Generation | undefined): one is Generation =>
    one !== undefined && one.covers(address) && one.notBeforeMs <= nowMs && nowMs < one.notAfterMs
  if (!isGood(current)) return isGood(next) ? 'switch' : 'first'
  const spent = (nowMs - current.notBeforeMs) / (current.notAfterMs - current.notBeforeMs)
  if (!isGood(next)) return spent >= 0.5 ? 'next' : 'keep'
  return spent >= 0.75 ? 'switch' : 'keep'
}
