/**
 * One line of a log file in CRI's format: `2026-01-02T03:04:05.678901234Z stdout F what was written`. The tag is P for a
 * part of a longer line and F for its end; more tags may follow after a colon.
 */
export interface LogLine {
  /** As written in the file. */
  readonly time: string
  readonly full: boolean
  /** With the newline if the line is full. */
  readonly content: Uint8Array
}

const space = 0x20
const newline = 0x0a

/** `line` without or with its newline. Undefined when it is not in the format. */
export function parseLogLine(line: Buffer): LogLine | undefined {
  const afterTime = line.indexOf(space)
  const afterStream = line.indexOf(space, afterTime + 1)
  if (afterTime <= 0 || afterStream < 0) return undefined
  const stream = line.toString('latin1', afterTime + 1, afterStream)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  const afterTag = line.indexOf(space, afterStream + 1)
  if (afterTag < 0) return undefined
  const full = line.toString('latin1', afterStream + 1, afterTag).split(':', 1)[0] !== 'P'
  const end = line.at(-1) === newline && !full ? line.length - 1 : line.length
  return { time: line.toString('latin1', 0, afterTime), full, content: line.subarray(afterTag + 1, end) }
}

/** Milliseconds since the epoch, the rest cut off. NaN when it is no time. */
export function logTimeMs(time: string): number {
  return Date.parse(time)
}

/** As `kubectl logs --timestamps` shows it: always nine digits, so that columns stay aligned. */
export function formatLogTime(time: string): string {
  const match = /^(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time)
  if (!match) return time
  return `${match[1] ?? ''}.${(match[2] ?? '').padEnd(9, '0')}${match[3] ?? ''}`
}
