/**
 * The closed table of errors. Adapters translate foreign errors into these at the edge; everything inside switches on
 * the code. docs/reference/errors.md is held to this table by test/tidy.test.ts.
 */
export const errorTable = {
  // What a backend may answer (backends/backend.ts).
  NotFound: { sentence: 'the thing asked for does not exist', retry: false },
  Rejected: { sentence: 'the request can never succeed as it stands', retry: false },
  Busy: { sentence: 'another operation on the same thing is under way; try again later', retry: true },
  Unavailable: { sentence: 'the other side cannot be reached or is failing', retry: true },
  Unsupported: { sentence: 'this backend does not offer the operation', retry: false },
  // The API server (kube/).
  Conflict: { sentence: 'the object changed in the meantime, or already exists', retry: true },
  Forbidden: { sentence: 'the identity used may not do this', retry: false },
  Invalid: { sentence: 'the API server refused the object', retry: false },
  Expired: { sentence: 'the resource version asked for is too old', retry: true },
  // The ledger (billing/).
  LedgerUnavailable: {
    sentence: 'the ledger cannot be written; nothing new starts until it can',
    retry: true,
  },
  LedgerTakenOver: {
    sentence: 'another Spillway writes the ledger now; this one ends',
    retry: false,
  },
  LedgerCorrupt: { sentence: 'the ledger contradicts itself', retry: false },
  // What people type.
  ConfigInvalid: { sentence: 'the configuration has errors', retry: false },
  Usage: { sentence: 'the command line is not understood', retry: false },
  // The embedded cluster.
  Environment: { sentence: 'this machine lacks something that is needed', retry: false },
} as const

export type ErrorCode = keyof typeof errorTable

/** What a Backend method may reject with; anything else is a bug of that backend. */
export type BackendErrorCode = 'NotFound' | 'Rejected' | 'Busy' | 'Unavailable' | 'Unsupported'

export interface SpillwayErrorOptions {
  readonly cause?: unknown
  /** With `Busy`: when to try again. */
  readonly afterMs?: number
  /** Kubernetes' CamelCase word for events and statuses, such as `ErrImagePull`. */
  readonly reason?: string
}

/** An error of the table. The message names the thing, what was found and what is allowed. */
export class SpillwayError extends Error {
  override readonly name = 'SpillwayError'
  readonly code: ErrorCode
  readonly afterMs: number | undefined
  readonly reason: string | undefined

  constructor(code: ErrorCode, message: string, options: SpillwayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.afterMs = options.afterMs
    this.reason = options.reason
  }

  get retry(): boolean {
    return errorTable[this.code].retry
  }
}

/** Whether the error is one of ours with that code. */
export function hasCode(error: unknown, code: ErrorCode): error is SpillwayError {
  return error instanceof SpillwayError && error.code === code
}

/** The error's sentence, also for what was thrown without being an Error. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
