/**
 * `npm run check`, `test`, `soak`, `properties`, `security`, `ledger:…` and `security:…`: runs every suite in order, says how long each
 * took, and closes with one line `N passed, N failed`. A suite that cannot run on this machine is named with the reason and
 * counts as failed.
 */
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'

interface Outcome {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  readonly note?: string
  /** What failed and how, told once more at the end: the middle of a long output is the first that is lost. */
  readonly failures?: readonly string[]
}

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numFailedTestSuites: number
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

function failuresIn({ testResults }: VitestReport): string[] {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(root, name)
    const failed = assertionResults.filter(({ status }) => status === 'failed')
    const told = failed.map(
      ({ fullName, failureMessages }) => `${file}: ${fullName}\n${failureMessages.join('\n')}`,
    )
    // A file that fails before its first test.
    return told.length === 0 && message ? [`${file}\n${message}`] : told
  })
}

const root = join(import.meta.dirname, '..')
const scratch = mkdtempSync(join(tmpdir(), 'spillway-test-'))

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function run(command: string, args: readonly string[]): { ok: boolean; seconds: number } {
  const began = performance.now()
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  return { ok: status === 0, seconds: (performance.now() - began) / 1000 }
}

/** A tool whose exit code is the verdict counts as one test. */
function tool(name: string, command: string, args: readonly string[]): Outcome {
  say(`\n── ${name}`)
  const { ok, seconds } = run(command, args)
  return { name, passed: ok ? 1 : 0, failed: ok ? 0 : 1, seconds }
}

function suite(name: string, project: string, filters: readonly string[]): Outcome {
  say(`\n── ${name}`)
  const file = join(scratch, `${project}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const { ok, seconds } = run('vitest', [
    'run',
    '--project',
    project,
    '--passWithNoTests=false',
    ...reporters,
    ...filters,
  ])
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport
    // A file that fails before its first test has no failed test, and vitest can fail on an error outside of tests.
    const failed = Math.max(report.numFailedTests, ok ? 0 : 1)
    return { name, passed: report.numPassedTests, failed, seconds, failures: failuresIn(report) }
  } catch {
    return { name, passed: 0, failed: 1, seconds, note: 'the test runner did not finish' }
  }
}

function missing(name: string, reason: string): Outcome {
  say(`\n── ${name}: cannot run here: ${reason}`)
  return { name, passed: 0, failed: 1, seconds: 0, note: reason }
}

function check(): Outcome[] {
  return [
    tool('types', 'tsc', ['--noEmit']),
    tool('lint', 'oxlint', ['--type-aware']),
    tool('format', 'prettier', ['--check', '--log-level', 'warn', '.']),
    suite('unit, contract and tidy tests', 'check', []),
  ]
}

interface ConformanceReport {
  readonly counts: { readonly passed: number; readonly failed: number; readonly notRun: number }
  readonly rows: readonly { readonly name: string; readonly outcome: string; readonly message?: string }[]
  readonly problems: readonly string[]
  readonly dir: string
}

/** Upstream's own tests of a node, each counted as one of ours. */
function conformance(): Outcome {
  const name = 'upstream’s node tests, a few of every kind'
  say(`\n── ${name}`)
  const began = performance.now()
  const args = [
    'bin/spillway.mjs',
    '--name',
    `conformance-${process.pid}`,
    'conformance',
    '--fast',
    '--fresh',
    '--json',
  ]
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
    encoding: 'utf8',
  })
  const seconds = (performance.now() - began) / 1000
  try {
    const { counts, rows, problems, dir } = JSON.parse(stdout) as ConformanceReport
    for (const row of rows.filter(({ outcome }) => outcome === 'failed' || outcome === 'not run'))
      say(`${row.outcome}: ${row.name}\n${row.message ?? ''}`)
    for (const problem of problems) say(problem)
    if (status !== 0) say(`reports and logs: ${dir}`)
    const failed = Math.max(counts.failed + counts.notRun, status === 0 ? 0 : 1)
    const bad = rows.filter(({ outcome }) => outcome === 'failed' || outcome === 'not run')
    return {
      name,
      passed: counts.passed,
      failed,
      seconds,
      failures: bad.map((row) => `${row.outcome}: ${row.name}`),
    }
  } catch {
    return { name, passed: 0, failed: 1, seconds, note: 'the tests did not get to an end' }
  }
}

/** Builds what the other suites need. Its own progress goes to standard error. */
function prepare(...flags: readonly string[]): Outcome {
  return tool('binaries (built once per machine)', process.execPath, [
    'bin/spillway.mjs',
    'prepare',
    ...flags,
  ])
}

function all(): Outcome[] {
  const outcomes = check()
  outcomes.push(suite('the ledger on a PostgreSQL server', 'postgres', []))
  const prepared = prepare('--all')
  outcomes.push(prepared)
  if (prepared.failed > 0) {
    const reason = 'the Kubernetes binaries are missing; see the message above'
    return [...outcomes, missing('journeys', reason), missing('end to end', reason)]
  }
  outcomes.push(suite('journeys on a real control plane', 'journeys', []))
  if (process.getuid?.() === 0) {
    outcomes.push(suite('parts that need root', 'e2e', []))
    outcomes.push(suite('stories on the embedded cluster', 'stories', []))
    outcomes.push(conformance())
  } else {
    outcomes.push(missing('end to end', 'containers and the embedded cluster need root: run "sudo npm test"'))
  }
  return outcomes
}

/** The full counts of what `npm test` repeats less often. */
function soak(): Outcome[] {
  const prepared = prepare()
  if (prepared.failed > 0) return [prepared]
  if (process.getuid?.() !== 0) {
    return [prepared, missing('soak', 'the embedded cluster needs root: run "sudo npm run soak"')]
  }
  process.env['SPILLWAY_ROUNDS'] ??= '20'
  process.env['SPILLWAY_OUTAGE_SECONDS'] ??= '60'
  process.env['SPILLWAY_ODD_PODS'] ??= '1000'
  process.env['SPILLWAY_FIT_PODS'] ??= '1000'
  process.env['SPILLWAY_SCALE_IN_RUNS'] ??= '100'
  const stories = ['scale-in', 'faults', 'batch-job', 'odd-pods'].map(
    (name) => `test/stories/${name}.test.ts`,
  )
  const { SPILLWAY_ROUNDS: rounds, SPILLWAY_OUTAGE_SECONDS: seconds, SPILLWAY_ODD_PODS: odd } = process.env
  const name = `soak: ${rounds} rounds, ${seconds} s of outage, ${odd} odd Pods`
  const soaked = suite(name, 'stories', stories)
  const fit = suite(`fit check: ${process.env['SPILLWAY_FIT_PODS']} Pods`, 'journeys', [
    'test/journeys/fit.test.ts',
  ])
  const scaleIn = suite(`who leaves first: ${process.env['SPILLWAY_SCALE_IN_RUNS']} runs`, 'journeys', [
    'test/journeys/scale-in.test.ts',
  ])
  return [prepared, soaked, fit, scaleIn]
}

/** What `check` generates the same each time, drawn anew. */
function properties(): Outcome[] {
  const rounds = Number(process.env['SPILLWAY_ROUNDS'] ?? 20)
  const files = globSync('test/**/*.test.ts', { cwd: root, exclude: ['test/journeys/**', 'test/stories/**'] })
  const generating = files.filter((file) =>
    readFileSync(join(root, file), 'utf8').includes("from 'fast-check'"),
  )
  return Array.from({ length: rounds }, () => {
    process.env['SPILLWAY_SEED'] = String(randomInt(2 ** 31))
    return suite(`properties, SPILLWAY_SEED=${process.env['SPILLWAY_SEED']}`, 'check', generating)
  })
}

/** What hostile Pods do, one after the other, and what the network keeps from them. */
function security(): Outcome[] {
  const prepared = prepare('--all')
  if (prepared.failed > 0) return [prepared]
  if (process.getuid?.() !== 0) {
    return [prepared, missing('security', 'the embedded cluster needs root: run "sudo npm run security"')]
  }
  process.env['SPILLWAY_ABUSE_ONE_BY_ONE'] ??= '1'
  process.env['SPILLWAY_SECURITY'] = '1'
  const stories = ['abuse', 'refused', 'network-isolation', 'network-policy'].map(
    (name) => `test/stories/${name}.test.ts`,
  )
  return [prepared, suite('hostile Pods on the embedded cluster', 'stories', stories)]
}

/** Ten thousand true lives beside what the ledger says of them, and as many with seals. */
function histories(): Outcome[] {
  process.env['SPILLWAY_LEDGER_HISTORIES'] ??= '10000'
  const name = `the ledger beside ${process.env['SPILLWAY_LEDGER_HISTORIES']} true histories`
  return [
    suite(name, 'check', [
      'test/conformance/ledger-histories.test.ts',
      'test/conformance/sealed-histories.test.ts',
    ]),
  ]
}

/** SIGKILL at every write and call of a Pod's straight line. */
function crashes(): Outcome[] {
  process.env['SPILLWAY_CRASH_EVERY'] ??= '1'
  return [
    suite('Spillway killed at every write and call', 'journeys', ['test/journeys/ledger-crashes.test.ts']),
  ]
}

/** What 200 Pods are billed while Spillway and containerd are killed under them. */
function churn(): Outcome[] {
  const prepared = prepare()
  if (prepared.failed > 0) return [prepared]
  if (process.getuid?.() !== 0) {
    return [prepared, missing('churn', 'the embedded cluster needs root: run "sudo npm run ledger:churn"')]
  }
  process.env['SPILLWAY_CHURN_PODS'] ??= '200'
  process.env['SPILLWAY_CHURN_KILLS'] ??= '8'
  const { SPILLWAY_CHURN_PODS: churned, SPILLWAY_CHURN_KILLS: kills } = process.env
  const name = `${churned} Pods billed under ${kills} kills of Spillway and of containerd`
  return [prepared, suite(name, 'stories', ['test/stories/churn.test.ts'])]
}

/** The node API under garbage and floods, with a table of what came back. */
function nodeApi(): Outcome[] {
  process.env['SPILLWAY_HOSTILE_REQUESTS'] ??= '10000'
  process.env['SPILLWAY_HOSTILE_CONNECTIONS'] ??= '10000'
  const { SPILLWAY_HOSTILE_REQUESTS: requests, SPILLWAY_HOSTILE_CONNECTIONS: connections } = process.env
  const name = `the node API under ${requests} hostile requests and ${connections} connections`
  return [suite(name, 'check', ['test/conformance/node-api-floods.test.ts'])]
}

/** Pods that nobody would write, through the pure part of their way to containerd. */
function fuzzedPods(): Outcome[] {
  process.env['SPILLWAY_FUZZED_PODS'] ??= '10000'
  const name = `${process.env['SPILLWAY_FUZZED_PODS']} fuzzed Pods`
  return [suite(name, 'check', ['test/conformance/fuzzed-pods.test.ts'])]
}

const linesOfFailure = 6

function report(outcomes: readonly Outcome[]): number {
  for (const failure of outcomes.flatMap(({ failures = [] }) => failures)) {
    say(`\nfailed: ${failure.split('\n').slice(0, linesOfFailure).join('\n        ')}`)
  }
  say('')
  const width = Math.max(...outcomes.map(({ name }) => name.length))
  for (const { name, passed, failed, seconds, note } of outcomes) {
    const counts = `${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed ${seconds.toFixed(0).padStart(5)} s`
    say(`${name.padEnd(width)} ${counts}${note ? `  ${note}` : ''}`)
  }
  const sum = (key: 'passed' | 'failed'): number =>
    outcomes.reduce((total, outcome) => total + outcome[key], 0)
  say(`\n${sum('passed')} passed, ${sum('failed')} failed`)
  return sum('failed')
}

const suites = {
  check,
  all,
  soak,
  properties,
  security,
  histories,
  crashes,
  churn,
  'node-api': nodeApi,
  'fuzzed-pods': fuzzedPods,
}
const wanted = process.argv[2] ?? 'all'
if (!(wanted in suites)) {
  say(`test/run.ts: found "${wanted}"; allowed: ${Object.keys(suites).join(', ')}`)
  process.exit(2)
}
try {
  process.exitCode = report(suites[wanted as keyof typeof suites]()) > 0 ? 1 : 0
} finally {
  rmSync(scratch, { recursive: true })
}
