import { chown, copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import { withMachineLock } from './build-lock.ts'
import type { Environment, Invoker } from './cache-dir.ts'
import { makeOwnedDir } from './cache-dir.ts'
import type { BinaryName, BuildStep, Component } from './components.ts'
import { cacheFolder, components, specsOf } from './components.ts'
import { requireDiskSpace } from './disk-space.ts'
import { kubernetesGoMod, plainGoMod } from './go-module.ts'
import type { GoToolchain } from './go-toolchain.ts'
import { findGo, runGo } from './go-toolchain.ts'
import { isExecutable } from './find-program.ts'
import { cachedPath, findPresent } from './present-binaries.ts'
import type { Progress, ProgressTask } from './progress.ts'

export interface GetBinariesOptions {
  /** As of `userCacheDir`; binaries lie in `<component>/<version>/` below it. */
  readonly cacheDir: string
  readonly environment: Environment
  readonly invoker: Invoker
  readonly progress: Progress
  /** The pinned versions; those of our clusters unless told. */
  readonly table?: readonly Component[]
}

/**
 * Paths of the binaries: found on $KUBEBUILDER_ASSETS, PATH or in the cache, or else built with Go from the official
 * modules into the cache. Safe to run twice at once, and after a run that was killed. Rejects with `Environment`: no
 * Go, no space, no network, each with the remedy; or with the signal's reason.
 */
export async function getBinaries(
  names: readonly BinaryName[],
  options: GetBinariesOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<BinaryName, string>> {
  const found = new Map<BinaryName, string>()
  for (const name of names) {
    const path = await findPresent(name, options, signal)
    if (path !== undefined) found.set(name, path)
  }
  const missing = new Set(names.filter((name) => !found.has(name)))
  if (missing.size > 0) await buildMissing(missing, options, signal)
  for (const name of missing) found.set(name, cachedPath(options.cacheDir, name, options.table))
  return found
}

interface PlannedBuild {
  readonly component: Component
  readonly steps: readonly BuildStep[]
}

/** The build steps that give the binaries, by component, in the table's order. */
export function planBuilds(
  missing: ReadonlySet<BinaryName>,
  table: readonly Component[] = components,
): readonly PlannedBuild[] {
  return table
    .map((component) => ({
      component,
      steps: component.steps.filter((step) => step.binaries.some(({ name }) => missing.has(name))),
    }))
    .filter(({ steps }) => steps.length > 0)
}

async function buildMissing(
  missing: ReadonlySet<BinaryName>,
  options: GetBinariesOptions,
  signal: AbortSignal,
): Promise<void> {
  const { cacheDir, invoker, progress } = options
  const builds = planBuilds(missing, options.table)
  const go = await findGo(options.environment, invoker, signal)
  const megabytes = builds.reduce((sum, { component }) => sum + component.diskMegabytes, 0)
  // Measured: of what a first build takes, half is Go's build cache, a quarter sources.
  await requireDiskSpace([
    { dir: go.buildCacheDir, megabytes: megabytes * 0.55 },
    { dir: go.moduleCacheDir, megabytes: megabytes * 0.25 },
    { dir: cacheDir, megabytes: megabytes * 0.2 },
  ])
  const steps = builds.flatMap((build) =>
    build.steps.map((step) => ({ name: stepName(step), weightSeconds: step.weightSeconds })),
  )
  const task = progress.begin('building programs (once on this machine)', steps)
  let outcome: 'done' | 'failed' = 'failed'
  try {
    for (const build of builds) {
      await withMachineLock(
        `build/${cacheFolder(build.component)}`,
        () => buildComponent(build, { go, task, cacheDir, invoker }, signal),
        signal,
        () => progress.note(`another process is building ${build.component.name}; waiting for it`),
      )
    }
    outcome = 'done'
  } finally {
    task.end(outcome)
  }
}

function stepName(step: BuildStep): string {
  return step.binaries.map(({ name }) => name).join(', ')
}

interface BuildContext {
  readonly go: GoToolchain
  readonly task: ProgressTask
  readonly cacheDir: string
  readonly invoker: Invoker
}

const workPrefix = '.building-'

async function buildComponent(
  build: PlannedBuild,
  context: BuildContext,
  signal: AbortSignal,
): Promise<void> {
  const { component } = build
  const { cacheDir, invoker } = context
  const targetDir = join(cacheDir, cacheFolder(component))
  await makeOwnedDir(targetDir, invoker.runAs)
  await sweepUnfinished(targetDir)
  // Beside its target: a rename within one file system makes each binary appear whole or not at all.
  const workDir = await mkdtemp(join(targetDir, workPrefix))
  try {
    const moduleDir = join(workDir, 'module')
    const temporaryDir = join(workDir, 'tmp')
    for (const dir of [workDir, moduleDir, temporaryDir]) {
      await mkdir(dir, { recursive: true })
      if (invoker.runAs) await chown(dir, invoker.runAs.uid, invoker.runAs.gid)
    }
    let prepared = false
    for (const step of build.steps) {
      context.task.step(stepName(step))
      // Another process may have built it while we waited for the lock.
      if (await isComplete(step, targetDir)) continue
      if (!prepared) await writeModule(component, { moduleDir, temporaryDir }, context, signal)
      prepared = true
      await buildStep(component, step, { moduleDir, temporaryDir, targetDir }, context, signal)
    }
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

async function isComplete(step: BuildStep, targetDir: string): Promise<boolean> {
  const present = await Promise.all(step.binaries.map(({ name }) => isExecutable(join(targetDir, name))))
  return present.every(Boolean)
}

/** We hold the lock, so whatever an earlier process left unfinished here is nobody's any more. */
async function sweepUnfinished(targetDir: string): Promise<void> {
  const entries = await readdir(targetDir)
  for (const entry of entries.filter((name) => name.startsWith(workPrefix))) {
    await rm(join(targetDir, entry), { recursive: true, force: true })
  }
}

interface ModuleDirs {
  readonly moduleDir: string
  readonly temporaryDir: string
}

async function writeModule(
  component: Component,
  dirs: ModuleDirs,
  context: BuildContext,
  signal: AbortSignal,
): Promise<void> {
  const goModPath = join(dirs.moduleDir, 'go.mod')
  const write = async (path: string, text: string): Promise<void> => {
    await writeFile(path, text)
    // Go adds to go.mod what the requirements require.
    if (context.invoker.runAs) await chown(path, context.invoker.runAs.uid, context.invoker.runAs.gid)
  }
  await write(goModPath, plainGoMod(component))
  if (component.mainSource !== undefined) await write(join(dirs.moduleDir, 'main.go'), component.mainSource)
  if (component.modulePlan === 'kubernetes') {
    const { goModPath: upstream } = await downloadedModule(component, dirs, context.go, signal)
    await write(goModPath, kubernetesGoMod(await readFile(upstream, 'utf8'), component.version))
  }
}

/** Where Go's module cache has a component's sources, fetched if need be. */
async function downloadedModule(
  component: Component,
  dirs: ModuleDirs,
  go: GoToolchain,
  signal: AbortSignal,
): Promise<{ readonly sourceDir: string; readonly goModPath: string }> {
  const what = `${component.module ?? ''}@${component.version}`
  const { stdout } = await runGo(go, ['mod', 'download', '-json', what], dirs, signal)
  const { Dir, GoMod } = JSON.parse(stdout) as { Dir?: string; GoMod?: string }
  if (Dir === undefined || GoMod === undefined) {
    throw new SpillwayError('Environment', `"go mod download -json ${what}" names no folder: ${stdout}`)
  }
  return { sourceDir: Dir, goModPath: GoMod }
}

async function buildStep(
  component: Component,
  step: BuildStep,
  dirs: ModuleDirs & { readonly targetDir: string },
  context: BuildContext,
  signal: AbortSignal,
): Promise<void> {
  // Go names its output after the package's folder, which for etcd is "v3"; several at once can only share a folder.
  const [only, ...others] = step.binaries
  const outputDir = join(dirs.temporaryDir, 'out')
  await makeOwnedDir(outputDir, context.invoker.runAs)
  const output = only !== undefined && others.length === 0 ? join(outputDir, only.name) : `${outputDir}/`
  await runGo(context.go, buildArguments(component, step, output), dirs, signal)
  for (const spec of step.binaries) {
    for (const [file, source] of Object.entries(spec.files ?? {})) {
      const { sourceDir } = await downloadedModule(component, dirs, context.go, signal)
      await copyFile(join(sourceDir, source), join(outputDir, file))
      await moveInto(dirs.targetDir, join(outputDir, file), context.invoker)
    }
    // Last: a binary that is there says that all that belongs to it is there.
    await moveInto(dirs.targetDir, join(outputDir, spec.name), context.invoker)
  }
}

async function moveInto(targetDir: string, file: string, invoker: Invoker): Promise<void> {
  if (invoker.runAs) await chown(file, invoker.runAs.uid, invoker.runAs.gid)
  await rename(file, join(targetDir, basename(file)))
}

/** Arguments of `go`: no paths of this machine and no debug tables in what comes out. */
export function buildArguments(component: Component, step: BuildStep, output: string): readonly string[] {
  const variables = Object.entries(component.linkerVariables).map(([name, value]) => `-X ${name}=${value}`)
  const tags = component.tags.length === 0 ? [] : ['-tags', component.tags.join(',')]
  const packages = step.binaries.map((spec) => spec.package ?? '.')
  return [
    ...(step.kind === 'test' ? ['test', '-c'] : ['build']),
    '-trimpath',
    '-ldflags',
    ['-s', '-w', ...variables].join(' '),
    ...tags,
    '-o',
    output,
    ...packages,
  ]
}

/** Every binary that the table knows. */
export const allBinaries: readonly BinaryName[] = components.flatMap((component) =>
  specsOf(component).map(({ name }) => name),
)

/** Upstream's tests, and what only they ask for. */
export const conformanceBinaries: readonly BinaryName[] = ['nnp', 'test-shell', 'e2e.test', 'ginkgo']

/** Minutes of building that a cluster does without. */
const otherBinaries: readonly BinaryName[] = [...conformanceBinaries, 'metrics-server']

/** What a cluster and its images are made of. */
export const clusterBinaries: readonly BinaryName[] = allBinaries.filter(
  (name) => !otherBinaries.includes(name),
)
