import { describe, expect, it } from 'vitest'
import type { TestResult } from '../../../src/dev-cluster/conformance/ginkgo-report.ts'
import {
  countResults,
  resultRows,
  rowsByGroup,
  testProgress,
} from '../../../src/dev-cluster/conformance/result-rows.ts'

const test = (name: string, group = 'g'): { name: string; group: string } => ({ name, group })
const byName = (...results: TestResult[]): Map<string, TestResult> =>
  new Map(results.map((result) => [result.name, result]))

describe('the rows of a result', () => {
  const rows = resultRows({
    tests: [test('a', 'z'), test('b'), test('c')],
    results: byName(
      { ...test('a'), outcome: 'passed', durationMs: 5 },
      { ...test('b'), outcome: 'failed', message: 'no' },
      { ...test('of another selection'), outcome: 'failed' },
    ),
    earlier: new Set(['a']),
    kubelet: byName({ ...test('b'), outcome: 'passed' }),
  })

  it('are the selected tests, with what the real kubelet made of them beside', () => {
    expect(rows).toEqual([
      { name: 'a', group: 'z', outcome: 'passed', durationMs: 5, earlier: true },
      { name: 'b', group: 'g', outcome: 'failed', message: 'no', earlier: false, kubelet: 'passed' },
      { name: 'c', group: 'g', outcome: 'not run', earlier: false },
    ])
  })

  it('are counted and grouped', () => {
    expect(countResults(rows)).toEqual({ passed: 1, failed: 1, skipped: 0, notRun: 1 })
    expect(rowsByGroup(rows).map(([group, its]) => [group, its.length])).toEqual([
      ['g', 2],
      ['z', 1],
    ])
  })
})

describe('the progress of tests', () => {
  it('is estimated from the pace so far', () => {
    expect(testProgress({ done: 57, failed: 3, total: 242, elapsedMs: 723_000 })).toBe(
      '57 of 242 done, 3 failed, 12m03s so far, about 39m06s to go',
    )
  })

  it('promises nothing before the first is done', () => {
    expect(testProgress({ done: 0, failed: 0, total: 9, elapsedMs: 5000 })).toBe(
      '0 of 9 done, 0 failed, 5s so far',
    )
  })
})
