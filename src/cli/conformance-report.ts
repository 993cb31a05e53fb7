import { firstLine } from '../dev-cluster/conformance/ginkgo-report.ts'
import { countResults, rowsByGroup, type ResultRow } from '../dev-cluster/conformance/result-rows.ts'
import type { ConformanceResult } from '../dev-cluster/conformance/run-conformance.ts'
import type { Output } from './output.ts'
import { formatTable } from './table.ts'
import { formatDuration } from './times.ts'

/** What upstream's tests said: by group, then each test that did not pass, with its reason. */
export function printConformance(result: ConformanceResult, output: Output): void {
  const { rows, problems, dir, elapsedMs } = result
  output.write(groupTable(rows))
  printTests('failed', rows, output)
  printTests('skipped', rows, output)
  printTests('not run', rows, output)
  for (const problem of problems) output.line(`\nOutside of the tests: ${problem}`)
  const { passed, failed, skipped, notRun } = countResults(rows)
  const earlier = rows.filter((row) => row.earlier).length
  const before = earlier === 0 ? '' : ` (${earlier} of them in an earlier run)`
  const lacking = notRun === 0 ? '' : `, ${notRun} not run`
  output.line(
    `\n${rows.length} tests: ${passed} passed${before}, ${failed} failed, ${skipped} skipped${lacking}; ${formatDuration(elapsedMs)}.`,
  )
  output.line(`Reports and logs: ${dir}`)
}

/** One line for each group of tests. */
export function groupTable(rows: readonly ResultRow[]): string {
  const compared = rows.some(({ kubelet }) => kubelet !== undefined)
  const numbers = ['tests', 'passed', 'failed', 'skipped', 'not run', ...(compared ? ['real kubelet'] : [])]
  const columns = [{ title: 'group' }, ...numbers.map((title) => ({ title, right: true }))]
  const cells = (title: string, group: readonly ResultRow[]): string[] => {
    const { passed, failed, skipped, notRun } = countResults(group)
    const counts = [group.length, passed, failed, skipped, notRun].map((count) => String(count || ''))
    return [title, ...counts, ...(compared ? [kubeletCell(group)] : [])]
  }
  const groups = rowsByGroup(rows).map(([group, itsRows]) => cells(group, itsRows))
  return formatTable(columns, [...groups, cells('all', rows)])
}

/** As in `24 passed`, or `23 of 24 passed`; empty where it was not tried. */
function kubeletCell(rows: readonly ResultRow[]): string {
  const tried = rows.filter(({ kubelet }) => kubelet !== undefined)
  const passed = tried.filter(({ kubelet }) => kubelet === 'passed').length
  if (tried.length === 0) return ''
  return passed === tried.length ? `${passed} passed` : `${passed} of ${tried.length} passed`
}

function printTests(outcome: ResultRow['outcome'], rows: readonly ResultRow[], output: Output): void {
  const those = rows.filter((row) => row.outcome === outcome)
  if (those.length === 0) return
  output.line(`\n${output.style('bold', outcome[0]?.toUpperCase() + outcome.slice(1))}`)
  for (const { name, message, kubelet } of those) {
    output.line(`  ${name}${kubelet === undefined ? '' : ` (real kubelet: ${kubelet})`}`)
    if (message !== undefined) output.line(`      ${firstLine(message)}`)
  }
}
