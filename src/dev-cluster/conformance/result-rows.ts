import { duration } from '../progress.ts'
import type { TestName, TestResult } from './ginkgo-report.ts'

/** What is known about one selected test. */
export interface ResultRow extends TestName {
  readonly outcome: TestResult['outcome'] | 'not run'
  readonly durationMs?: number
  readonly message?: string
  /** It passed in an earlier run, and was not run again. */
  readonly earlier: boolean
  /** What the real kubelet made of it, once that was tried on this machine. */
  readonly kubelet?: TestResult['outcome']
}

export interface ResultCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly notRun: number
}

/** Puts together what is known about each selected test. */
export function resultRows(known: {
  readonly tests: readonly TestName[]
  readonly results: ReadonlyMap<string, TestResult>
  /** Names of those that were not run again. */
  readonly earlier: ReadonlySet<string>
  /** Results on the real kubelet. */
  readonly kubelet: ReadonlyMap<string, TestResult>
}): readonly ResultRow[] {
  return known.tests.map(({ name, group }) => {
    const result = known.results.get(name)
    const kubelet = known.kubelet.get(name)?.outcome
    return {
      name,
      group,
      outcome: result?.outcome ?? 'not run',
      ...(result?.durationMs === undefined ? {} : { durationMs: result.durationMs }),
      ...(result?.message === undefined ? {} : { message: result.message }),
      earlier: known.earlier.has(name),
      ...(kubelet === undefined ? {} : { kubelet }),
    }
  })
}

export function countResults(rows: readonly Pick<ResultRow, 'outcome'>[]): ResultCounts {
  const count = (wanted: ResultRow['outcome']): number =>
    rows.filter(({ outcome }) => outcome === wanted).length
  return {
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    notRun: count('not run'),
  }
}

/** Rows by their group, groups in alphabetical order. */
export function rowsByGroup(
  rows: readonly ResultRow[],
): readonly (readonly [string, readonly ResultRow[]])[] {
  const groups = Map.groupBy(rows, ({ group }) => group)
  return [...groups].toSorted(([a], [b]) => a.localeCompare(b, 'en'))
}

/** As in `57 of 242 done, 3 failed, 12m03s so far, about 40m to go`. */
export function testProgress(state: {
  readonly done: number
  readonly failed: number
  readonly total: number
  readonly elapsedMs: number
}): string {
  const { done, failed, total, elapsedMs } = state
  const said = `${done} of ${total} done, ${failed} failed, ${duration(elapsedMs)} so far`
  if (done === 0) return said
  return `${said}, about ${duration((elapsedMs / done) * (total - done))} to go`
}
