import { DatabaseError } from 'pg'
import { errorMessage } from '../../model/errors.ts'
import { diskFailure } from '../ledger.ts'
import type { LedgerFailure } from './ledger-messages.ts'

// data_corrupted and index_corrupted: trying again does not help.
const corruptCodes = new Set(['XX001', 'XX002'])

// disk_full, and io_error.
const diskCodes = new Set(['53100', '58030'])

// A standby, or a server that was told to be read-only.
const readOnlyCode = '25006'

/** Everything else may be better later: a server that restarts, a connection that was lost, a password that changed. */
export function postgresFailure(error: unknown): LedgerFailure {
  const message = connectionMessage(error)
  if (!isServerError(error)) return { code: 'LedgerUnavailable', message }
  const code = error.code ?? ''
  if (corruptCodes.has(code)) return { code: 'LedgerCorrupt', message }
  if (diskCodes.has(code)) return { code: 'LedgerUnavailable', message, reason: diskFailure }
  if (code === readOnlyCode)
    return { code: 'LedgerUnavailable', message: `the server is read-only: ${message}` }
  return { code: 'LedgerUnavailable', message }
}

/** Whether the server answered with an error; the connection may go on being used then. */
export function isServerError(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError
}

/** Of several addresses that were tried each has its error, and all together no message. */
function connectionMessage(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(errorMessage).join('; ')
  return errorMessage(error)
}
