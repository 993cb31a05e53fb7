import { weekDays } from '../../config/burst-policy-schema.ts'
import type { QuietWindow } from '../../config/burst-policy.ts'

export interface Quiet {
  readonly window: QuietWindow
  /** When to look again at the latest. */
  readonly againInMs: number
}

const minuteMs = 60_000
const minutesPerDay = 24 * 60

/**
 * The window that it is in just now, by the clock on the wall there. When that clock is put forward, what lies in the
 * hour that is left out is left out with it; when it is put back, what lies in the hour that comes twice is quiet twice.
 * The alternative, instants counted on from the beginning, would end a night at five or at seven on those two days.
 */
export function quietAt(windows: readonly QuietWindow[], wallMs: number): Quiet | undefined {
  for (const window of windows) {
    const local = localTime(window.timeZone, wallMs)
    const minutesLeft = minutesLeftIn(window, local)
    if (minutesLeft === undefined) continue
    // The end by the clock that it is now; the clocks of the world are put forward and back on quarters of an hour.
    const toEndMs = minutesLeft * minuteMs - (wallMs % minuteMs)
    const toQuarterMs = 15 * minuteMs - (wallMs % (15 * minuteMs))
    return { window, againInMs: Math.min(toEndMs, toQuarterMs) }
  }
  return undefined
}

interface LocalTime {
  /** 0 is Monday. */
  readonly day: number
  /** Of the day. */
  readonly minute: number
}

function minutesLeftIn(
  { days, fromMinute, toMinute }: QuietWindow,
  { day, minute }: LocalTime,
): number | undefined {
  if (fromMinute < toMinute) {
    return days.includes(day) && minute >= fromMinute && minute < toMinute ? toMinute - minute : undefined
  }
  if (days.includes(day) && minute >= fromMinute) return minutesPerDay - minute + toMinute
  return days.includes((day + 6) % 7) && minute < toMinute ? toMinute - minute : undefined
}

const formats = new Map<string, Intl.DateTimeFormat>()

function localTime(timeZone: string, wallMs: number): LocalTime {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
  formats.set(timeZone, format)
  const parts = new Map(format.formatToParts(wallMs).map(({ type, value }) => [type, value]))
  return {
    day: weekDays.indexOf(parts.get('weekday') ?? ''),
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  }
}
