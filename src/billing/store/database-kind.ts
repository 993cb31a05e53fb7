import type { LedgerConfig } from '../../config/ledger.ts'
import { systemClock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { Claimant } from './claim.ts'
import type { LedgerFailure } from './ledger-messages.ts'
import type { OpenedLedger } from './opened-ledger.ts'

export interface OpenHereOptions {
  /** Undefined: for reading. */
  readonly claimant: Claimant | undefined
  /** Default false. */
  readonly besideWriter?: boolean
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** What the two databases do each in its own way. */
export interface DatabaseKind {
  /** In this thread, which then waits for the database with every call. */
  open(options: OpenHereOptions): Promise<OpenedLedger>
  failure(error: unknown): LedgerFailure
}

/** Of the two only the one that is used is loaded. */
export async function databaseKind(place: LedgerConfig): Promise<DatabaseKind> {
  if (place.kind === 'sqlite') {
    const { openSqlitePlace, sqliteFailure } = await import('./sqlite-place.ts')
    return {
      open: ({ claimant, besideWriter = false }) =>
        openSqlitePlace({ file: place.file, claimant, besideWriter, clock: systemClock }),
      failure: (error) => sqliteFailure(error, place.file),
    }
  }
  const { openPostgresPlace } = await import('./postgres-place.ts')
  const { postgresFailure } = await import('./postgres-errors.ts')
  return { open: (options) => openPostgresPlace({ ...place, ...options }), failure: postgresFailure }
}

/** Errors of the table are their own meaning. */
export function failureOf(error: unknown, { failure }: DatabaseKind): LedgerFailure {
  if (!(error instanceof SpillwayError)) return failure(error)
  const { code, message, reason } = error
  return { code, message, ...(reason !== undefined && { reason }) }
}
