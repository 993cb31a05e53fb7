/** What the ledger's callers and its thread tell each other. */
import type { LedgerConfig } from '../../config/ledger.ts'
import type { ErrorCode } from '../../model/errors.ts'
import type { Claimant } from './claim.ts'
import type { SqlLedger } from './sql-ledger.ts'

/** What a thread begins with. */
export interface OpenRequest {
  readonly location: LedgerConfig
  /** Undefined: for reading, which changes nothing. */
  readonly claimant: Claimant | undefined
  /** It reads all the time beside a writer, which must not suffer from it. */
  readonly besideWriter: boolean
  /** What the database's client is told besides: the PG* variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export type LedgerCall = {
  readonly [M in keyof SqlLedger]: { readonly method: M; readonly args: Parameters<SqlLedger[M]> }
}[keyof SqlLedger]

export interface WorkerRequest {
  readonly id: number
  /** Undefined: close the ledger and end. */
  readonly call: LedgerCall | undefined
}

/** Tells how the opening went, and how many events there are. */
export const openingId = 0
/** Told without being asked: how a renewal of the claim went; LedgerTakenOver: it is lost. */
export const renewalId = -1

export type WorkerAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | ({ readonly id: number; readonly ok: false } & LedgerFailure)

/** What an error of the database means here. */
export interface LedgerFailure {
  readonly code: ErrorCode
  readonly reason?: string
  readonly message: string
}
