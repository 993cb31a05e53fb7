import { describe, expect, it } from 'vitest'
import { judgeByLines } from './abuse.ts'
import { latencyCells, latencyOf } from './latency.ts'
import { judgeCalls, judgeProcesses } from './program-abuses.ts'

const refusedCalls = (count: number): string =>
  Array.from({ length: count }, (_, at) => `refused call ${at} (EPERM)`).join('\n')

describe('who judges an abuse', () => {
  it('takes a system call for let in that was answered, whatever it was answered', () => {
    for (const why of ['done', 'EINVAL', 'EFAULT']) {
      const said = `${refusedCalls(60)}\nanswered bpf: make a map (${why})`
      expect(judgeCalls(said, 'runc').bad).toEqual([`LET bpf: make a map (${why})`])
      expect(judgeCalls(said, 'gvisor').bad).toEqual([`LET bpf: make a map (${why})`])
    }
    expect(judgeCalls(refusedCalls(60), 'runc').bad).toEqual([])
  })

  it('is not content with a program that has given up', () => {
    expect(judgeCalls('', 'runc').bad).toEqual(['LET only 0 calls were made'])
  })

  it('takes no process of others, and of a Pod that shares only its own', () => {
    const own = 'sees /pause: signal\nsees /hostile-program prey: signal, mem'
    expect(judgeProcesses('tried 1 to 65536', false).bad).toEqual([])
    expect(judgeProcesses('sees process 7: nothing', false).bad).toHaveLength(1)
    expect(judgeProcesses(own, true).bad).toEqual([])
    expect(judgeProcesses(`${own}\nsees /agnhost netexec: nothing`, true).bad).toHaveLength(1)
    expect(judgeProcesses('tried 1 to 65536', true).bad).toHaveLength(1)
  })

  it('takes every line that says so, and no message that quotes the script', () => {
    expect(judgeByLines('victim-1: LET d\nmain: terminated StartError sh -c "echo LET e"', []).bad).toEqual([
      'LET d',
    ])
    expect(judgeByLines('LET a\nrefused b\nLET c\nover', [/^over$/m])).toEqual({
      bad: ['LET a', 'LET c'],
      how: 'over',
    })
  })
})

describe('a neighbour’s latency', () => {
  it('is its median and its worst, and twice the median is held or not', () => {
    const before = latencyOf([3, 1, 2])
    expect(before).toEqual({ samples: 3, median: 2, worst: 3 })
    expect(latencyCells(before, latencyOf([4, 4, 90]))).toBe('2.0 → 4.0 | 90.0 | yes, 2.00 × (3)')
    expect(latencyCells(before, latencyOf([5]))).toBe('2.0 → 5.0 | 5.0 | no, 2.50 × (1)')
  })
})
