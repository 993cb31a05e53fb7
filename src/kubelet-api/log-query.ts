import type { LogOptions } from '../backends/backend.ts'

export type LogQuery =
  | {
      readonly ok: true
      readonly options: LogOptions
      /** The one stream that was asked for, which is only to be had with a feature that is off by default. */
      readonly onlyStream?: string
    }
  | { readonly ok: false; readonly status: number; readonly message: string }

/** The query of `/containerLogs/…` (PodLogOptions), with kubelet's answers to a bad one. Pure. */
export function parseLogQuery(query: URLSearchParams, nowMs: number): LogQuery {
  const stream = query.get('stream') ?? 'All'
  // An old spelling, in which `all` meant no limit.
  const tail = query.get('tail')
  const tailLines = wholeNumber(tail ? (tail === 'all' ? null : tail) : query.get('tailLines'))
  const limitBytes = wholeNumber(query.get('limitBytes'))
  const sinceSeconds = wholeNumber(query.get('sinceSeconds'))
  const sinceTime = query.get('sinceTime')
  const sinceTimeMs = sinceTime === null ? undefined : parseTime(sinceTime)
  if ([tailLines, limitBytes, sinceSeconds, sinceTimeMs].some((value) => Number.isNaN(value))) {
    return refused(400, '{"message": "Unable to decode query."}')
  }
  const bothSinces = sinceSeconds !== undefined && sinceTimeMs !== undefined
  const streamIsWrong =
    !['All', 'Stdout', 'Stderr'].includes(stream) || (stream !== 'All' && tailLines !== undefined)
  if (
    streamIsWrong ||
    (tailLines ?? 0) < 0 ||
    (limitBytes ?? 1) < 1 ||
    (sinceSeconds ?? 1) < 1 ||
    bothSinces
  ) {
    return refused(422, '{"message": "Invalid request."}')
  }
  const sinceMs = sinceSeconds === undefined ? sinceTimeMs : nowMs - sinceSeconds * 1000
  return {
    ok: true,
    ...(stream !== 'All' && { onlyStream: stream }),
    options: {
      follow: flag(query.get('follow')),
      previous: flag(query.get('previous')),
      timestamps: flag(query.get('timestamps')),
      ...(tailLines !== undefined && { tailLines }),
      ...(limitBytes !== undefined && { limitBytes }),
      ...(sinceMs !== undefined && { sinceMs }),
    },
  }
}

function refused(status: number, message: string): LogQuery {
  return { ok: false, status, message }
}

/** NaN when it is none; undefined when it is not given. */
function wholeNumber(text: string | null): number | undefined {
  if (text === null) return undefined
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}

/** NaN when it is none. No time at all is the zero time, as in Go: since ever. */
function parseTime(text: string): number {
  if (text === '' || text === 'null') return zeroTimeMs
  return rfc3339.test(text) ? Date.parse(text) : Number.NaN
}

const zeroTimeMs = Date.parse('0001-01-01T00:00:00Z')
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)$/

/** As the API's own conversion: anything but false and 0 is true, nothing after the name too. */
function flag(text: string | null): boolean {
  return text !== null && !['0', 'false'].includes(text.toLowerCase())
}
