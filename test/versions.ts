/**
 * `npm run versions`: the journeys on control planes of several Kubernetes versions, each built from its Go modules where
 * it is missing. Prints a table version × story; `--record` writes it, dated, into docs/versions.md. `--only v1.30.14` and
 * `--story overflow` narrow it, and may be repeated. Exit code 1: something failed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { getBinaries } from '../src/dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../src/dev-cluster/cache-dir.ts'
import { componentOf, componentsWith, kubernetesVersion } from '../src/dev-cluster/components.ts'
import { createTerminalProgress } from '../src/dev-cluster/progress.ts'
import { systemClock } from '../src/model/clock.ts'
import { controlPlanePrograms } from './support/control-plane.ts'

/** Newest releases of their minor versions, oldest first. The README claims these and no others. */
const allVersions: readonly string[] = ['v1.30.14', 'v1.34.12', kubernetesVersion]

/** What a row of the table is called, and its journey. */
const allStories = {
  'overflow and scale-in': 'overflow',
  'who leaves first': 'scale-in',
  'move back': 'move-back',
  'beside others: preemption, spread, volumes': 'with-others',
  'pools of virtual nodes': 'pools',
  'wrong fields of pools': 'pool-fields',
  'burst policies': 'burst-policies',
  budgets: 'budgets',
  'wrong fields of burst policies': 'burst-policy-fields',
  'words of other products': 'coming-from',
  placement: 'placement',
  'admission webhook': 'admission',
  DaemonSets: 'daemonsets',
  explain: 'explain',
  'fit, against kube-scheduler': 'fit',
  'what people change of a running Pod': 'pod-updates',
  'an existing cluster': 'existing-cluster',
  'a node that comes late': 'late-node',
  'certificates of nodes': 'node-certificates',
  'watches that break': 'watch',
} as const

interface Result {
  readonly passed: number
  readonly failed: number
  /** Tests of what the API server does not serve. */
  readonly skipped: number
}

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
}

/** More than npm test has: of five, chance alone decides which rules of upstream’s show. */
const scaleInRuns = '15'

const root = join(import.meta.dirname, '..')
const page = join(root, 'docs/versions.md')
const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    story: { type: 'string', multiple: true },
    record: { type: 'boolean', default: false },
  },
})

function chosen(flag: string, wanted: readonly string[] | undefined, known: readonly string[]): string[] {
  for (const name of wanted ?? []) {
    if (known.includes(name)) continue
    process.stderr.write(`--${flag}: found "${name}"; allowed: ${known.join(', ')}\n`)
    process.exit(2)
  }
  return known.filter((name) => wanted?.includes(name) ?? true)
}

const versions = chosen('only', flags.only, allVersions)
const files = chosen('story', flags.story, Object.values(allStories))
const stories = Object.entries(allStories).filter(([, file]) => files.includes(file))

/** One after the other: two compilers at once would take the memory of a small machine. */
async function build(signal: AbortSignal): Promise<void> {
  const environment = process.env
  const invoker = await findInvoker(environment, process.getuid?.() ?? 0, signal)
  const cacheDir = userCacheDir(environment, invoker)
  const progress = createTerminalProgress(process.stderr, systemClock)
  for (const version of versions) {
    progress.note(`Kubernetes ${version}`)
    const table = componentsWith(version)
    await getBinaries(controlPlanePrograms, { cacheDir, environment, invoker, progress, table }, signal)
  }
}

function run(version: string, file: string, scratch: string): Result {
  const report = join(scratch, `${version}-${file}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const { status } = spawnSync(
    'vitest',
    [
      'run',
      '--project',
      'journeys',
      '--passWithNoTests=false',
      ...reporters,
      `test/journeys/${file}.test.ts`,
    ],
    {
      cwd: root,
      stdio: ['ignore', process.stderr, 'inherit'],
      env: { SPILLWAY_SCALE_IN_RUNS: scaleInRuns, ...process.env, SPILLWAY_KUBERNETES_VERSION: version },
    },
  )
  try {
    const told = JSON.parse(readFileSync(report, 'utf8')) as VitestReport
    // A file that fails before its first test has no failed test.
    const failed = Math.max(told.numFailedTests, status === 0 ? 0 : 1)
    return { passed: told.numPassedTests, failed, skipped: told.numPendingTests }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

function cell({ passed, failed, skipped }: Result): string {
  const skips = skipped === 0 ? '' : `, ${skipped} not for it`
  return failed === 0 ? `${passed} passed${skips}` : `${passed} passed, **${failed} failed**`
}

function table(results: ReadonlyMap<string, readonly Result[]>): string {
  const rows = [
    ['story', ...versions.map((version) => version.slice(1))],
    ['---', ...versions.map(() => '---')],
    ...[...results].map(([story, cells]) => [story, ...cells.map(cell)]),
  ]
  return rows.map((row) => `| ${row.join(' | ')} |\n`).join('')
}

/** Everything below this heading is written by us. */
const heading = '## Results\n'

function record(text: string): void {
  const date = new Date(systemClock.wallMs()).toISOString().slice(0, 10)
  const [above] = readFileSync(page, 'utf8').split(heading)
  writeFileSync(page, `${above}${heading}\n${date}, etcd ${componentOf('etcd').version.slice(1)}:\n\n${text}`)
}

const ending = new AbortController()
process.once('SIGINT', () => ending.abort(new Error('interrupted')))
await build(ending.signal)
const scratch = mkdtempSync(join(tmpdir(), 'spillway-versions-'))
try {
  const results = new Map(stories.map(([story]): [string, Result[]] => [story, []]))
  for (const version of versions) {
    for (const [story, file] of stories) results.get(story)?.push(run(version, file, scratch))
  }
  const text = table(results)
  process.stdout.write(`\n${text}`)
  if (flags.record) record(text)
  if ([...results.values()].flat().some(({ failed }) => failed > 0)) process.exitCode = 1
} finally {
  rmSync(scratch, { recursive: true })
}
