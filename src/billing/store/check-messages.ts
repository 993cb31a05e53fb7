/** What whoever has a ledger checked and the thread that does it tell each other. */
import type { LedgerConfig } from '../../config/ledger.ts'
import type { LedgerReport } from '../verify.ts'
import type { NewEventsReport } from '../new-events-check.ts'
import type { LedgerFailure } from './ledger-messages.ts'

/** A place in the log, and the hash that covers all before it. */
export interface LogPosition {
  readonly seq: number
  readonly hash: string
}

export interface CheckRequest {
  readonly location: LedgerConfig
  /** What the database's client is told besides: the PG* variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Wall milliseconds: bounds the open intervals. */
  readonly nowMs: number
  /** Where what was checked before ends; undefined: all is checked. */
  readonly after: LogPosition | undefined
  /** What the writer says is its last event: a file that lacks it is not the one that is written. */
  readonly written: LogPosition | undefined
  /** Rests as long as it works, page by page: for a check that nobody waits for. */
  readonly rests: boolean
}

export type CheckedLedger =
  | { readonly scope: 'all'; readonly report: LedgerReport }
  | { readonly scope: 'new'; readonly report: NewEventsReport }

export type CheckAnswer =
  { readonly ok: true; readonly checked: CheckedLedger } | ({ readonly ok: false } & LedgerFailure)

/** A thread begins with the request and one 32-bit word of shared memory: 1 tells it to stop. */
export interface CheckThreadData {
  readonly request: CheckRequest
  readonly stop: SharedArrayBuffer
}
