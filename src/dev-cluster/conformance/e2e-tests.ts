import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished as written } from 'node:stream/promises'
import { SpillwayError } from '../../model/errors.ts'
import { outputTail, runCommand, type CommandOptions } from '../command.ts'
import { FinishedTests } from './finished-tests.ts'
import { readGinkgoReport, type SuiteResults, type TestName } from './ginkgo-report.ts'
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
    const { exitCode, stdout, stderr } = await runCommand(
      e2eTest,
      args,
      leavingIn(workDir, options.command),
      signal,
    )
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
  /** How often a test is tried before it counts as failed. */
  readonly attempts: number
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
  const outputFile = join(options.dir, 'e2e.log')
  const exitCode = await runGinkgo(options, programs, outputFile, signal)
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

async function runGinkgo(
  options: RunTestsOptions,
  programs: TestPrograms,
  outputFile: string,
  signal: AbortSignal,
): Promise<number> {
  const tests = new FinishedTests(options.names, options.onTest)
  const output = createWriteStream(outputFile)
  const onOutput = (text: string): void => {
    output.write(text)
    tests.write(text)
  }
  const scratch = await mkdtemp(join(tmpdir(), 'spillway-e2e-'))
  try {
    const args = ginkgoArguments(options, programs)
    // Its own tidying up after a signal would take minutes, and goes with the cluster.
    const command = { ...leavingIn(scratch, options.command), onOutput, stopSignal: 'SIGKILL' } as const
    return (await runCommand(programs.ginkgo, args, command, signal)).exitCode
  } finally {
    output.end()
    await written(output)
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Upstream's tests never remove what they put into the folder for temporary files. */
function leavingIn(dir: string, command: CommandOptions): CommandOptions {
  return { ...command, environment: { ...command.environment, TMPDIR: dir } }
}

function ginkgoArguments(options: RunTestsOptions, programs: TestPrograms): string[] {
  return [
    `--procs=${options.procs}`,
    '--no-color',
    // Tells of each test as it ends.
    '-v',
    '--silence-skips',
    `--flake-attempts=${options.attempts}`,
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
  ]
}
