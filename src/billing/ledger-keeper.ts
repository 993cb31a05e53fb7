import type { Clock } from '../model/clock.ts'
import { adjust, type AdjustOutcome, type AdjustRequest } from './adjust.ts'
import type { LedgerStore } from './ledger.ts'
import type { Seal } from './seal.ts'
import { sealPeriod, type SealRequest } from './seal-period.ts'

/** What people write into a ledger: through the Spillway that has it open, or into a file that nothing writes. */
export class LedgerKeeper {
  readonly #ledger: LedgerStore
  readonly #clock: Clock

  constructor(ledger: LedgerStore, clock: Clock) {
    this.#ledger = ledger
    this.#clock = clock
  }

  seal(request: Omit<SealRequest, 'nowMs'>, signal: AbortSignal): Promise<Seal> {
    return sealPeriod(this.#ledger, { ...request, nowMs: this.#clock.wallMs() }, signal)
  }

  adjust(request: Omit<AdjustRequest, 'nowMs'>, signal: AbortSignal): Promise<AdjustOutcome> {
    return adjust(this.#ledger, { ...request, nowMs: this.#clock.wallMs() }, signal)
  }
}
