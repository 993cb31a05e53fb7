import { bill } from '../src/billing/invoice.ts'
import type { LedgerStore } from '../src/billing/ledger.ts'
import type { UsageEvent } from '../src/model/usage.ts'
import { monthToDate, nowMs } from './ledger-lives.ts'
import { percentile } from './percentile.ts'

const never = new AbortController().signal

export interface Waits {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly bills: number
}

/** What an append takes, told by so many at once one after the other, with or without month bills in a loop beside it. */
export async function appendWaits(
  ledger: LedgerStore,
  lives: readonly (readonly UsageEvent[])[],
  { callers, withBills }: { readonly callers: number; readonly withBills: boolean },
): Promise<Waits> {
  const tookMs: number[] = []
  let next = 0
  const caller = async (): Promise<void> => {
    for (let index = next++; index < lives.length; index = next++) {
      for (const event of lives[index] ?? []) {
        const began = performance.now()
        await ledger.append([event], never)
        tookMs.push(performance.now() - began)
      }
    }
  }
  const over = new AbortController()
  let bills = 0
  const billing = async (): Promise<void> => {
    for (; !over.signal.aborted; bills += 1) {
      await bill(ledger, { ...monthToDate, nowMs, by: 'namespace' }, never)
    }
  }
  const billed = withBills ? billing() : undefined
  await Promise.all(Array.from({ length: callers }, caller))
  over.abort()
  await billed
  return { p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99), bills }
}
