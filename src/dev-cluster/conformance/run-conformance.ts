import { chown, cp, mkdir, readdir, rm } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { SpillwayError } from '../../model/errors.ts'
import { conformanceBinaries, getBinaries } from '../binaries.ts'
import { withMachineLock } from '../build-lock.ts'
import { chownTree, findInvoker, makeOwnedDir, userCacheDir, type Invoker } from '../cache-dir.ts'
import { kubernetesVersion, type BinaryName } from '../components.ts'
import { commandOptions, down } from '../down.ts'
import type { EmbeddedSandbox } from '../cluster-file.ts'
import type { EmbeddedCluster } from '../embedded-cluster.ts'
import { findCluster } from '../find-cluster.ts'
import { checkMachine } from '../open-cluster.ts'
import type { SpillwayLaunch } from '../start-cluster.ts'
import { up, type UpContext, type UpOptions } from '../up.ts'
import { listTests, runTests, type TestPrograms } from './e2e-tests.ts'
import type { TestName, TestResult } from './ginkgo-report.ts'
import { conformanceImages } from './images.ts'
import { readAllResults, readResults, recordResults } from './journal.ts'
import { resultRows, testProgress, type ResultRow } from './result-rows.ts'
import { selectionKey, type Selection } from './selection.ts'
import { sweepNamespaces } from './sweep-namespaces.ts'

/** On what upstream's tests are run: a virtual node, or the real kubelet on the same machine to compare with. */
export type TestedNode = 'virtual' | 'kubelet'

export interface ConformanceOptions {
  readonly node: TestedNode
  /** What Pods on the virtual node get; the real kubelet's get runc. */
  readonly sandbox: EmbeddedSandbox
  /** Of the cluster that is made for it, or that is there. */
  readonly clusterName: string
  readonly selection: Selection
  readonly procs: number
  /** How often a test is tried before it counts as failed. */
  readonly attempts: number
  /** Run again what has passed before. */
  readonly fresh: boolean
  /** Leave the cluster running. */
  readonly keep: boolean
  /** Tells versions of Spillway apart (see source-identity.ts). */
  readonly identity: string
  readonly spillway: (cluster: EmbeddedCluster) => Promise<SpillwayLaunch>
}

export interface ConformanceResult {
  readonly rows: readonly ResultRow[]
  /** What went wrong outside of tests. */
  readonly problems: readonly string[]
  /** Where reports and logs are. */
  readonly dir: string
  readonly elapsedMs: number
}

/**
 * Runs a selection of upstream's tests on a cluster whose only schedulable node is the one to be tested. What has passed
 * before with the same sources and selection is not run again, so that the same command goes on after an interruption.
 * Rejects with Environment or Usage; with the signal's reason when interrupted, once all is tidied up.
 */
export async function runConformance(
  options: ConformanceOptions,
  context: UpContext,
  signal: AbortSignal,
): Promise<ConformanceResult> {
  const { environment, processUid, progress } = context
  // Before minutes of building.
  await checkMachine({ processUid, cores: cpus().length }, {})
  const invoker = await findInvoker(environment, processUid, signal)
  const cacheDir = userCacheDir(environment, invoker)
  const wanted: readonly BinaryName[] = [...conformanceBinaries, 'kubectl']
  const binaries = await getBinaries(wanted, { cacheDir, environment, invoker, progress }, signal)
  const programs = programsOf(binaries)
  const resultsDir = join(cacheDir, 'conformance')
  const dir = join(nodeDir(resultsDir, options), selectionKey(options.selection))
  return withMachineLock(
    `conformance/${options.clusterName}`,
    async () => {
      if (options.fresh) await rm(dir, { recursive: true, force: true })
      await makeOwnedDir(dir, invoker.runAs)
      const run = new ConformanceRun(options, context, programs, dir)
      try {
        const outcome = await run.run(signal)
        const kubelet = await readAllResults(kubeletDir(resultsDir))
        return { ...outcome, rows: resultRows({ ...outcome, kubelet }), dir }
      } finally {
        await giveTo(invoker, dir)
      }
    },
    signal,
    () => progress.note(`another command is testing cluster "${options.clusterName}"; waiting for it`),
  )
}

/** The real kubelet does not change with our sources; its results count for its version. */
function kubeletDir(resultsDir: string): string {
  return join(resultsDir, 'kubelet', kubernetesVersion)
}

/** With gVisor a test may say something else than with runc. */
function nodeDir(resultsDir: string, { node, sandbox, identity }: ConformanceOptions): string {
  if (node === 'kubelet') return kubeletDir(resultsDir)
  return join(resultsDir, sandbox === 'runc' ? node : `${node}-${sandbox}`, identity)
}

function programsOf(binaries: ReadonlyMap<BinaryName, string>): TestPrograms {
  const path = (name: BinaryName): string => {
    const found = binaries.get(name)
    if (found === undefined) throw new SpillwayError('Environment', `no binary is given for ${name}`)
    return found
  }
  return { e2eTest: path('e2e.test'), ginkgo: path('ginkgo'), kubectl: path('kubectl') }
}

async function giveTo({ runAs }: Invoker, dir: string): Promise<void> {
  if (runAs === undefined) return
  await chown(dir, runAs.uid, runAs.gid)
  await chownTree(dir, runAs)
}

interface RunOutcome {
  readonly tests: readonly TestName[]
  readonly results: ReadonlyMap<string, TestResult>
  /** Names of those that had passed before. */
  readonly earlier: ReadonlySet<string>
  readonly problems: readonly string[]
  readonly elapsedMs: number
}

/** One call of `runConformance`, in its folder. */
class ConformanceRun {
  readonly #options: ConformanceOptions
  readonly #context: UpContext
  readonly #programs: TestPrograms
  readonly #dir: string

  constructor(options: ConformanceOptions, context: UpContext, programs: TestPrograms, dir: string) {
    this.#options = options
    this.#context = context
    this.#programs = programs
    this.#dir = dir
  }

  async run(signal: AbortSignal): Promise<RunOutcome> {
    const { clock, environment, progress } = this.#context
    const beganMs = clock.monotonicMs()
    const places = { dir: this.#dir, command: commandOptions(environment) }
    const tests = await listTests(this.#options.selection, this.#programs, places, signal)
    if (tests.length === 0) throw new SpillwayError('Usage', '--focus, --skip: no test of upstream’s matches')
    const before = await readResults(this.#dir)
    const earlier = new Set(
      tests.map(({ name }) => name).filter((name) => before.get(name)?.outcome === 'passed'),
    )
    if (earlier.size > 0) {
      progress.note(
        `${earlier.size} of ${tests.length} tests passed before with these sources (--fresh runs all)`,
      )
    }
    const rest = tests.filter(({ name }) => !earlier.has(name))
    const problems = rest.length === 0 ? [] : await this.#withCluster(rest, signal)
    const results = await readResults(this.#dir)
    return { tests, results, earlier, problems, elapsedMs: clock.monotonicMs() - beganMs }
  }

  async #withCluster(tests: readonly TestName[], signal: AbortSignal): Promise<readonly string[]> {
    const { clusterName: name, keep } = this.#options
    const existed = (await findCluster(name)) !== undefined
    const runDir = await this.#makeRunDir()
    let cluster: EmbeddedCluster | undefined
    try {
      const started = await up({ name, ...this.#clusterOptions() }, this.#context, signal)
      cluster = started.cluster
      const command = commandOptions(this.#context.environment)
      if (existed) await sweepNamespaces(this.#programs.kubectl, cluster.kubeconfig, command, signal)
      return await this.#runAndRecord(tests, cluster, runDir, signal)
    } finally {
      // Not with the command's signal: the tidying up goes on after Ctrl-C.
      if (cluster !== undefined) await cp(cluster.logsDir, join(runDir, 'cluster'), { recursive: true })
      if (!existed && !keep) await down({ name }, this.#context, new AbortController().signal)
    }
  }

  #clusterOptions(): Omit<UpOptions, 'name'> {
    const images = conformanceImages
    const { node, sandbox, spillway } = this.#options
    return node === 'virtual'
      ? {
          serverNode: false,
          untainted: true,
          virtualNodes: 1,
          sandbox,
          images,
          spillway,
        }
      : { serverNode: true, serverCpu: cpus().length, virtualNodes: 0, images }
  }

  async #runAndRecord(
    tests: readonly TestName[],
    cluster: EmbeddedCluster,
    runDir: string,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const groups = new Map(tests.map(({ name, group }) => [name, group]))
    const counts = { done: 0, failed: 0, total: tests.length }
    const title = this.#options.node === 'virtual' ? 'tests on a virtual node' : 'tests on the real kubelet'
    const task = this.#context.progress.follow(title, (elapsedMs) => testProgress({ ...counts, elapsedMs }))
    let writing = Promise.resolve()
    let outcome: 'done' | 'failed' = 'failed'
    try {
      const { kubeconfig } = cluster
      const { procs, attempts } = this.#options
      const onTest = (result: 'passed' | 'failed', name: string): void => {
        counts.done += 1
        if (result === 'failed') counts.failed += 1
        const told = { name, group: groups.get(name) ?? '', outcome: result }
        writing = writing.then(() => recordResults(this.#dir, [told]))
      }
      const command = commandOptions(this.#context.environment)
      const names = tests.map(({ name }) => name)
      const suite = await runTests(
        { names, procs, attempts, kubeconfig, dir: runDir, command, onTest },
        this.#programs,
        signal,
      )
      await writing
      await recordResults(this.#dir, suite.tests)
      outcome = 'done'
      return suite.problems
    } finally {
      await writing
      task.end(outcome)
    }
  }

  /** Each run has its reports in a folder of its own: one that goes on after another must not take its place. */
  async #makeRunDir(): Promise<string> {
    const runs = (await readdir(this.#dir)).filter((entry) => entry.startsWith('run-'))
    const dir = join(this.#dir, `run-${runs.length + 1}`)
    await mkdir(dir)
    return dir
  }
}
