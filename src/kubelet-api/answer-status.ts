import { SpillwayError, type ErrorCode } from '../model/errors.ts'

const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  NotFound: 404,
  Rejected: 400,
  Busy: 429,
  Unavailable: 503,
  Unsupported: 501,
}

/** The HTTP status that an error of the table is answered with. */
export function answerStatus(error: unknown): number {
  return (error instanceof SpillwayError ? statuses[error.code] : undefined) ?? 500
}
