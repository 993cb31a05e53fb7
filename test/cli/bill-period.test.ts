import { expect, test } from 'vitest'
import { billPeriod } from '../../src/cli/bill-period.ts'

const now = Date.UTC(2026, 10, 23, 12, 30)

test.each([
  [{}, '2026-11-01T00:00:00.000Z', '2026-11-23T12:30:00.000Z'],
  [{ today: true }, '2026-11-23T00:00:00.000Z', '2026-11-23T12:30:00.000Z'],
  [{ last: '24h' }, '2026-11-22T12:30:00.000Z', '2026-11-23T12:30:00.000Z'],
  [{ month: '2026-02' }, '2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z'],
  [{ month: '2025-12' }, '2025-12-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'],
  [{ from: '-7d', to: '2026-11-20' }, '2026-11-16T12:30:00.000Z', '2026-11-20T00:00:00.000Z'],
  [{ to: '2026-11-20' }, '2026-11-01T00:00:00.000Z', '2026-11-20T00:00:00.000Z'],
])('%j is from %s to %s', (flags, from, to) => {
  const { fromMs, toMs } = billPeriod(flags, now)
  expect([fromMs, toMs].map((ms) => new Date(ms).toISOString())).toEqual([from, to])
})

test.each([
  [{ month: '2026-13' }, '--month: found "2026-13"; allowed: a month as in 2026-11'],
  [{ last: '0h' }, '--last: found "0h"; allowed: a length of time as in 90m, 24h, 7d'],
  [
    { last: '24h', today: true, from: '-1h' },
    'found --from and --to with --today with --last; allowed: one of',
  ],
  [{ from: 'now', to: '-1h' }, '--to: found 2026-11-23T11:30:00.000Z; allowed: a time after --from'],
])('%j is refused with what was found and what is allowed', (flags, sentence) => {
  expect(() => billPeriod(flags, now)).toThrow(sentence)
})
