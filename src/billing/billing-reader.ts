import type { Clock } from '../model/clock.ts'
import type { BillQuery } from './bill-query.ts'
import { exportLedger } from './export-ledger.ts'
import type { FocusParties, FocusVersion } from './focus/focus-columns.ts'
import { focusCsv, focusRows, type FocusQuery } from './focus/focus-export.ts'
import { bill, type Bill } from './invoice.ts'
import type { LedgerStore } from './ledger.ts'
import { runningPods, spendPerHourNow, type RunningPod } from './spending.ts'
import type { BillTotal } from './bill-rows.ts'
import { verifyLedger, type LedgerReport } from './verify.ts'

export interface FocusExport extends Omit<FocusQuery, 'nowMs'> {
  readonly version: FocusVersion
  readonly parties: FocusParties
}

/** Reads one ledger for people: what the admin API serves, and what the command line prints of a ledger file. */
export class BillingReader {
  readonly #ledger: LedgerStore
  readonly #clock: Clock

  constructor(ledger: LedgerStore, clock: Clock) {
    this.#ledger = ledger
    this.#clock = clock
  }

  /** Open intervals are priced up to now; by Pod alone, every line is explained. */
  bill(query: Omit<BillQuery, 'nowMs'>, signal: AbortSignal): Promise<Bill> {
    const explain = query.explain ?? [query.by].flat().join() === 'pod'
    return bill(this.#ledger, { ...query, explain, nowMs: this.#clock.wallMs() }, signal)
  }

  /** CSV, piece by piece. */
  focus({ version, parties, ...query }: FocusExport, signal: AbortSignal): AsyncIterable<string> {
    const nowMs = this.#clock.wallMs()
    const rows = focusRows(this.#ledger, { ...query, nowMs }, signal)
    return focusCsv(rows, { version, parties })
  }

  running(nowMs: number, signal: AbortSignal): Promise<readonly RunningPod[]> {
    return runningPods(this.#ledger, nowMs, signal)
  }

  spendPerHour(nowMs: number, signal: AbortSignal): Promise<readonly BillTotal[]> {
    return spendPerHourNow(this.#ledger, nowMs, signal)
  }

  verify(signal: AbortSignal): Promise<LedgerReport> {
    return verifyLedger(this.#ledger, { nowMs: this.#clock.wallMs() }, signal)
  }

  /** As docs/reference/ledger-export.md describes it. */
  exportLedger(signal: AbortSignal): AsyncGenerator<string> {
    return exportLedger(this.#ledger, signal)
  }
}
