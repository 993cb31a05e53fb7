import { expect, test } from 'vitest'
import { formatDuration, parseTimeOption, startOfMonthMs } from '../../src/cli/times.ts'

const now = Date.UTC(2026, 10, 23, 12, 30)

test.each([
  ['now', '2026-11-23T12:30:00.000Z'],
  ['-24h', '2026-11-22T12:30:00.000Z'],
  ['-90m', '2026-11-23T11:00:00.000Z'],
  ['-7d', '2026-11-16T12:30:00.000Z'],
  ['2026-11-01', '2026-11-01T00:00:00.000Z'],
  ['2026-11-01T08:00:00', '2026-11-01T08:00:00.000Z'],
  ['2026-11-01T08:00:00+02:00', '2026-11-01T06:00:00.000Z'],
])('%s is %s', (text, expected) => {
  expect(new Date(parseTimeOption('--from', text, now)).toISOString()).toBe(expected)
})

test.each(['', 'yesterday', '24h', '-3y', '12', '2026-13-01'])(
  '"%s" is refused with the flag and what is allowed',
  (text) => {
    expect(() => parseTimeOption('--from', text, now)).toThrow(/--from: found ".*"; allowed: RFC 3339/)
  },
)

test('a month starts at midnight UTC', () => {
  expect(new Date(startOfMonthMs(now)).toISOString()).toBe('2026-11-01T00:00:00.000Z')
})

test.each([
  [0, '0ms'],
  [850, '850ms'],
  [12_340, '12.3s'],
  [245_000, '4m05s'],
  [12_000_000, '3h20m'],
  [187_200_000, '2d4h'],
])('%d ms reads %s', (durationMs, expected) => {
  expect(formatDuration(durationMs)).toBe(expected)
})
