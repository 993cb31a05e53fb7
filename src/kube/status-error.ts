import { SpillwayError, type ErrorCode } from '../model/errors.ts'

/** `metav1.Status`, as far as it is read. */
export interface KubeStatus {
  readonly kind?: string
  readonly message?: string
  readonly reason?: string
  readonly code?: number
  readonly details?: {
    readonly retryAfterSeconds?: number
    readonly causes?: readonly { readonly field?: string; readonly message?: string }[]
  }
}

export interface FailedRequest {
  /** As in `PATCH /api/v1/nodes/burst-0/status`. */
  readonly request: string
  readonly statusCode: number
  /** The body, if it was a Status. */
  readonly status?: KubeStatus
  /** Of the Retry-After header, in seconds. */
  readonly retryAfterSeconds?: number
}

/** The API server's refusal in the words of our table, with its own sentence and reason. */
export function statusError(failed: FailedRequest): SpillwayError {
  const { request, statusCode, status } = failed
  const retryAfterSeconds = failed.retryAfterSeconds ?? status?.details?.retryAfterSeconds
  const afterMs = retryAfterSeconds === undefined ? undefined : retryAfterSeconds * 1000
  return new SpillwayError(codeOf(statusCode, afterMs), `${request}: ${sentence(statusCode, status)}`, {
    ...(afterMs !== undefined && { afterMs }),
    ...(status?.reason && { reason: status.reason }),
  })
}

function codeOf(statusCode: number, afterMs: number | undefined): ErrorCode {
  switch (statusCode) {
    case 401:
    case 403:
      return 'Forbidden'
    case 404:
      return 'NotFound'
    case 409:
      return 'Conflict'
    case 410:
      return 'Expired'
    case 429:
      return 'Busy'
    // A server that sheds load or is going down says when to come back; without that it is merely failing.
    case 503:
      return afterMs === undefined ? 'Unavailable' : 'Busy'
    case 408:
      return 'Unavailable'
    default:
      return statusCode >= 400 && statusCode < 500 ? 'Invalid' : 'Unavailable'
  }
}

function sentence(statusCode: number, status: KubeStatus | undefined): string {
  const message = status?.message || `HTTP status ${statusCode}`
  // Mostly the message holds the causes already; where it does not, they say which field is meant.
  const causes = (status?.details?.causes ?? [])
    .filter((cause) => cause.message && !message.includes(cause.message))
    .map((cause) => (cause.field ? `${cause.field}: ${cause.message}` : cause.message))
  return causes.length > 0 ? `${message} (${causes.join('; ')})` : message
}

/** A body that may be a Status; undefined when it is something else (a proxy's HTML, plain text). */
export function parseStatus(body: string): KubeStatus | undefined {
  try {
    const parsed = JSON.parse(body) as KubeStatus | null
    return typeof parsed === 'object' && parsed?.kind === 'Status' ? parsed : undefined
  } catch {
    return undefined
  }
}

/** Retry-After in seconds. The other form, a date, is not used by the API server and would need its clock. */
export function parseRetryAfter(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined
}
