import { describe, expect, test } from 'vitest'
import { compileBurstSpec, type QuietWindow } from '../../../src/config/burst-policy.ts'
import { quietAt } from '../../../src/scheduling/burst/quiet-hours.ts'

function windows(...quietHours: object[]): readonly QuietWindow[] {
  const compiled = compileBurstSpec('BurstPolicy', { quietHours })
  if (!compiled.ok) throw new Error(compiled.problems.join('\n'))
  return compiled.spec.quietHours
}

function isQuiet(all: readonly QuietWindow[], time: string): boolean {
  return quietAt(all, Date.parse(time)) !== undefined
}

const berlin = 'Europe/Berlin'

describe('quiet hours', () => {
  test('are from the first minute to before the last, in their own time zone', () => {
    const night = windows({ from: '09:00', to: '17:00', timeZone: berlin })
    // 2026-07-01 is a Wednesday; Berlin is two hours ahead of UTC.
    expect(isQuiet(night, '2026-07-01T06:59:59Z')).toBe(false)
    expect(isQuiet(night, '2026-07-01T07:00:00Z')).toBe(true)
    expect(isQuiet(night, '2026-07-01T14:59:59Z')).toBe(true)
    expect(isQuiet(night, '2026-07-01T15:00:00Z')).toBe(false)
  })

  test('that end before they begin go on into the next day, whose day they began on counts', () => {
    const night = windows({ days: ['Fri'], from: '22:00', to: '06:00' })
    expect(isQuiet(night, '2026-07-03T21:59:00Z')).toBe(false)
    expect(isQuiet(night, '2026-07-03T22:00:00Z')).toBe(true)
    expect(isQuiet(night, '2026-07-04T05:59:00Z')).toBe(true)
    expect(isQuiet(night, '2026-07-04T06:00:00Z')).toBe(false)
    expect(isQuiet(night, '2026-07-04T22:30:00Z')).toBe(false)
    // The night from Sunday to Monday crosses the end of the week.
    const sunday = windows({ days: ['Sun'], from: '22:00', to: '06:00' })
    expect(isQuiet(sunday, '2026-07-06T01:00:00Z')).toBe(true)
    expect(isQuiet(sunday, '2026-07-05T01:00:00Z')).toBe(false)
  })

  test('may be whole days', () => {
    const weekend = windows({ days: ['Sat', 'Sun'], from: '00:00', to: '24:00', timeZone: berlin })
    expect(isQuiet(weekend, '2026-07-03T21:59:59Z')).toBe(false)
    expect(isQuiet(weekend, '2026-07-03T22:00:00Z')).toBe(true)
    expect(isQuiet(weekend, '2026-07-05T21:59:59Z')).toBe(true)
    expect(isQuiet(weekend, '2026-07-05T22:00:00Z')).toBe(false)
  })

  // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00Z.
  test('follow the clock on the wall when it is put forward', () => {
    const across = windows({ from: '01:30', to: '03:30', timeZone: berlin })
    expect(isQuiet(across, '2026-03-29T00:29:00Z')).toBe(false)
    expect(isQuiet(across, '2026-03-29T00:30:00Z')).toBe(true)
    // An hour, not two: 03:30 comes then.
    expect(isQuiet(across, '2026-03-29T01:29:00Z')).toBe(true)
    expect(isQuiet(across, '2026-03-29T01:30:00Z')).toBe(false)
    const left = windows({ from: '02:10', to: '02:50', timeZone: berlin })
    for (let minute = 0; minute < 180; minute += 1) {
      const atMs = Date.parse('2026-03-29T00:00:00Z') + minute * 60_000
      expect(quietAt(left, atMs)).toBeUndefined()
    }
  })

  // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00Z.
  test('follow the clock on the wall when it is put back: what comes twice is quiet twice', () => {
    const twice = windows({ from: '02:10', to: '02:50', timeZone: berlin })
    const minutes = Array.from({ length: 180 }, (_, minute) => minute).filter((minute) =>
      quietAt(twice, Date.parse('2026-10-25T00:00:00Z') + minute * 60_000),
    )
    expect(minutes).toHaveLength(80)
    const across = windows({ from: '01:30', to: '03:30', timeZone: berlin })
    expect(isQuiet(across, '2026-10-25T02:29:00Z')).toBe(true)
    expect(isQuiet(across, '2026-10-25T02:30:00Z')).toBe(false)
  })

  test('are looked at again when they end, and whenever a clock may be put forward or back', () => {
    const night = windows({ from: '22:00', to: '06:00' })
    const at = (time: string): number | undefined => quietAt(night, Date.parse(time))?.againInMs
    expect(at('2026-07-04T05:58:30Z')).toBe(90_000)
    expect(at('2026-07-03T23:50:30.500Z')).toBe(569_500)
    // The look after never comes too late: whenever it is quiet, some look falls on the first moment after.
    const across = windows({ from: '01:30', to: '03:30', timeZone: berlin })
    let atMs = Date.parse('2026-03-29T00:30:00Z')
    for (let look = quietAt(across, atMs); look; look = quietAt(across, atMs)) atMs += look.againInMs
    expect(new Date(atMs).toISOString()).toBe('2026-03-29T01:30:00.000Z')
  })

  test('of several windows any one will do', () => {
    const both = windows({ from: '00:00', to: '01:00' }, { from: '12:00', to: '13:00' })
    expect(quietAt(both, Date.parse('2026-07-01T12:30:00Z'))?.window.text).toBe('12:00–13:00 UTC')
  })
})
