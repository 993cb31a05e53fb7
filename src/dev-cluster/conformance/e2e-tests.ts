import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SpillwayError } from '../../model/errors.ts'
import { outputTail, runCommand, type CommandOptions } from '../command.ts'
import { readGinkgoReport, type SuiteResults, type TestName } from './ginkgo-report.ts'
import { openProgressServer, sameSpacing } from './progress-server.ts'
import { exactly, selectionFlags, type Selection } from './selection.ts'

/** Paths of the programs. */
export interface TestPrograms {
  readonly e2eTest: string
  readonly ginkgo: string
  readonly kubectl: string
}

const reportName = 'ginkgo.json'

/**
 * The tests that a selection stands for, in upstream's order. No cluster is needed. Rejects with Usage when a pattern is
 * no regular expression.
 */
export async function listTests(
  selection: Selection,
  { e2eTest }: Pick<TestPrograms, 'e2eTest'>,
  options: { readonly dir: string; readonly command: CommandOptions },
  signal: AbortSignal,
): Promise<readonly TestName[]> {
  const workDir = await mkdtemp(join(options.dir, '.list-'))
  try {
    const report = join(workDir, reportName)
    const flags = [
      '--ginkgo.dry-run',
      '--ginkgo.succinct',
      '--ginkgo.no-color',
      `--ginkgo.json-report=${report}`,
    ]
    const args = [...flags, ...selectionFlags(selection, 'ginkgo.')]
    const { exitCode, stdout, stderr } = await runCommand(e2eTest, args, options.command, signal)
    const said = `${stdout}\n${stderr}`
    const badPattern = /error parsing regexp: .*/.exec(said)
    if (badPattern !== null) throw new SpillwayError('Usage', `--focus or --skip: ${badPattern[0]}`)
    if (exitCode !== 0) {
      throw new SpillwayError('Environment', `listing upstream's tests failed: ${outputTail(said)}`)
    }
    return readGinkgoReport(await readFile(report, 'utf8')).tests.map(({ name, group }) => ({ name, group }))
  } finally {
    await rm(workDir, { recursive: true })
  }
}

export interface RunTestsOptions {
  readonly names: readonly string[]
  /** How many processes share them. */
  readonly procs: number
  readonly kubeconfig: string
  /** An existing folder, for reports and output. */
  readonly dir: string
  readonly command: CommandOptions
  /** Told at once when a test has passed or failed. Tests that skip themselves are known only at the end. */
  readonly onTest: (outcome: 'passed' | 'failed', name: string) => void
}

/** Runs the tests against a cluster, to their end. What fails is an answer; rejects with Environment without answers. */
export async function runTests(
  options: RunTestsOptions,
  programs: TestPrograms,
  signal: AbortSignal,
): Promise<SuiteResults> {
  const names = new Map(options.names.map((name) => [sameSpacing(name), name]))
  await using server = await openProgressServer((outcome, told) => {
    const name = names.get(told)
    if (name !== undefined) options.onTest(outcome, name)
  })
  const outputFile = join(options.dir, 'e2e.log')
  const { exitCode } = await runCommand(
    programs.ginkgo,
    ginkgoArguments(options, programs, server.url),
    // Its own tidying up after a signal would take minutes, and goes with the cluster.
    { ...options.command, outputFile, stopSignal: 'SIGKILL' },
    signal,
  )
  try {
    return readGinkgoReport(await readFile(join(options.dir, reportName), 'utf8'))
  } catch (cause) {
    const tail = outputTail(await readFile(outputFile, 'utf8'))
    throw new SpillwayError(
      'Environment',
      `ginkgo ended with code ${exitCode} and left no report:\n${tail}`,
      {
        cause,
      },
    )
  }
}

function ginkgoArguments(options: RunTestsOptions, programs: TestPrograms, progressUrl: string): string[] {
  return [
    `--procs=${options.procs}`,
    '--no-color',
    '--silence-skips',
    // Its own default of one hour is for unit tests.
    '--timeout=24h',
    `--output-dir=${options.dir}`,
    `--json-report=${reportName}`,
    ...selectionFlags(exactly(options.names)),
    programs.e2eTest,
    '--',
    // No cloud: nothing but the cluster's API is used.
    '--provider=skeleton',
    `--kubeconfig=${options.kubeconfig}`,
    `--kubectl-path=${programs.kubectl}`,
    `--report-dir=${options.dir}`,
    `--e2e-output-dir=${options.dir}`,
    `--progress-report-url=${progressUrl}`,
  ]
}
