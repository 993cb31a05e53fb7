import { expect, it } from 'vitest'
import { printConformance } from '../../src/cli/conformance-report.ts'
import { Output } from '../../src/cli/output.ts'
import type { ResultRow } from '../../src/dev-cluster/conformance/result-rows.ts'

const row = (name: string, outcome: ResultRow['outcome'], more: Partial<ResultRow> = {}): ResultRow => ({
  name: `[sig-node] Pods ${name}`,
  group: '[sig-node] Pods',
  outcome,
  earlier: false,
  ...more,
})

it('shows groups, what did not pass with its reason, and where the reports are', () => {
  let text = ''
  const output = new Output({ write: (part) => (text += part) }, {})
  const rows = [
    row('run', 'passed', { earlier: true, kubelet: 'passed' }),
    row('stop', 'failed', { message: 'expected a\nb', kubelet: 'passed' }),
    row('are for Windows', 'skipped', { message: 'only on Windows', kubelet: 'skipped' }),
    { ...row('', 'passed'), name: '[sig-storage] Secrets', group: '[sig-storage] Secrets' },
  ]
  printConformance({ rows, problems: ['it timed out'], dir: '/cache/x', elapsedMs: 61_000 }, output)
  expect(text).toBe(`GROUP                  TESTS  PASSED  FAILED  SKIPPED  NOT RUN   REAL KUBELET
[sig-node] Pods            3       1       1        1           2 of 3 passed
[sig-storage] Secrets      1       1
all                        4       2       1        1           2 of 3 passed

Failed
  [sig-node] Pods stop (real kubelet: passed)
      expected a

Skipped
  [sig-node] Pods are for Windows (real kubelet: skipped)
      only on Windows

Outside of the tests: it timed out

4 tests: 2 passed (1 of them in an earlier run), 1 failed, 1 skipped; 1m01s.
Reports and logs: /cache/x
`)
})
