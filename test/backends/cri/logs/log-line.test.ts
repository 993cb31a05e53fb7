import { describe, expect, it } from 'vitest'
import { formatLogTime, logTimeMs, parseLogLine } from '../../../../src/backends/cri/logs/log-line.ts'

const time = '2026-01-02T03:04:05.678901234Z'

function parsed(text: string): readonly [full: boolean, content: string] | undefined {
  const line = parseLogLine(Buffer.from(text))
  return line && [line.full, Buffer.from(line.content).toString()]
}

describe('a line of a log file', () => {
  it('is what was written, with its newline when it is whole and without when it goes on', () => {
    expect(parsed(`${time} stdout F two words\n`)).toEqual([true, 'two words\n'])
    expect(parsed(`${time} stderr P half a li\n`)).toEqual([false, 'half a li'])
    expect(parsed(`${time} stdout F \n`)).toEqual([true, '\n'])
    expect(parsed(`${time} stdout F cut off`)).toEqual([true, 'cut off'])
  })

  it('may have more tags, of which the first counts', () => {
    expect(parsed(`${time} stdout P:x:y half`)).toEqual([false, 'half'])
    expect(parsed(`${time} stdout F:P whole\n`)).toEqual([true, 'whole\n'])
  })

  it.each(['', '\n', time, ` stdout F x`, `${time} stdout F`, `${time} stdin F x`, `${time} stdout`])(
    'is not "%s"',
    (text) => expect(parsed(text)).toBeUndefined(),
  )
})

describe('the time of a line', () => {
  it('is cut off to milliseconds', () => {
    expect(logTimeMs(time)).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
    expect(logTimeMs('yesterday')).toBeNaN()
  })

  it.each([
    [time, time],
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000000000Z'],
    ['2026-01-02T03:04:05.5+01:00', '2026-01-02T03:04:05.500000000+01:00'],
    ['yesterday', 'yesterday'],
  ])('%s is shown with nine digits, if it is one', (given, shown) => {
    expect(formatLogTime(given)).toBe(shown)
  })
})
