import { SpillwayError } from '../model/errors.ts'

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** RFC 3339 (a date alone means midnight UTC), `now`, or back from now: `-24h`, `-7d`, `-90m`. Wall milliseconds. */
export function parseTimeOption(flag: string, text: string, nowMs: number): number {
  if (text === 'now') return nowMs
  const back = /^-(\d+)([smhd])$/.exec(text)
  if (back) return nowMs - Number(back[1]) * (units[back[2] ?? ''] ?? 0)
  const wallMs = /^\d{4}-\d{2}-\d{2}([T ]|$)/.test(text) ? Date.parse(withZone(text)) : Number.NaN
  if (Number.isNaN(wallMs)) {
    throw new SpillwayError(
      'Usage',
      `${flag}: found "${text}"; allowed: RFC 3339 (2026-11-23T08:00:00Z), now, or -90m, -24h, -7d`,
    )
  }
  return wallMs
}

/** `90m`, `24h`, `7d`. Milliseconds. */
export function parseDurationOption(flag: string, text: string): number {
  const match = /^([1-9]\d{0,5})([smhd])$/.exec(text)
  if (match) return Number(match[1]) * (units[match[2] ?? ''] ?? 0)
  throw new SpillwayError('Usage', `${flag}: found "${text}"; allowed: a length of time as in 90m, 24h, 7d`)
}

/** Times are UTC unless they say otherwise: a bill must not depend on where it is printed. */
function withZone(text: string): string {
  return /([zZ]|[+-]\d{2}:?\d{2})$/.test(text) || /^\d{4}-\d{2}-\d{2}$/.test(text) ? text : `${text}Z`
}

/** The first instant of the UTC month. */
export function startOfMonthMs(wallMs: number): number {
  const date = new Date(wallMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}

/** `850ms`, `12.3s`, `4m05s`, `3h20m`, `2d4h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)}s`
  const seconds = Math.round(durationMs / 1000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
  if (seconds < 86_400)
    return `${Math.floor(seconds / 3_600)}h${String(Math.floor((seconds % 3_600) / 60)).padStart(2, '0')}m`
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3_600)}h`
}
