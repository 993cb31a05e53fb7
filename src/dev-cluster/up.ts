import { cpus } from 'node:os'
import type { Clock } from '../model/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { getBinaries } from './binaries.ts'
import { findInvoker, userCacheDir, type Environment } from './cache-dir.ts'
import { checkClusterName, defaultClusterName } from './cluster-layout.ts'
import type { BinaryName } from './components.ts'
import { commandOptions, lockedError, withClusterLock } from './down.ts'
import type { EmbeddedCluster } from './embedded-cluster.ts'
import { embeddedBinaries } from './embedded-programs.ts'
import { getGvisor } from './gvisor/get-gvisor.ts'
import { findProgram, searchPath } from './find-program.ts'
import type { ImageRecipe } from './image-recipe.ts'
import { imageRecipes } from './image-recipes.ts'
import { binariesOf, publishImages } from './images.ts'
import { checkMachine, type WantedShape } from './open-cluster.ts'
import { installMetricsServer, metricsServerImage } from './metrics-server.ts'
import type { Progress } from './progress.ts'
import type { RunningCluster } from './running-cluster.ts'
import { startCluster, startPhases, type SpillwayLaunch, type StartedCluster } from './start-cluster.ts'
import { getSystemTools, type SystemTool } from './system-packages.ts'

export interface UpOptions extends WantedShape {
  /** Default `default`. */
  readonly name?: string
  /** Published beside those that every cluster has. */
  readonly images?: readonly ImageRecipe[]
  /** Whether metrics-server is installed, for `kubectl top` and HorizontalPodAutoscalers. */
  readonly metricsServer?: boolean
  /** Says what Spillway is started with, as the last component; left out, there is none. */
  readonly spillway?: (cluster: EmbeddedCluster) => Promise<SpillwayLaunch>
}

export interface UpContext {
  readonly environment: Environment
  readonly processUid: number
  readonly progress: Progress
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
}

export interface UpResult {
  readonly cluster: EmbeddedCluster
  readonly running: RunningCluster
  /** Components that were started now; empty when the cluster ran already. */
  readonly started: readonly string[]
  /** Path of a kubectl of the cluster's version. */
  readonly kubectl: string
  /** Whether people have a kubectl of their own, of whatever version. */
  readonly kubectlOnPath: boolean
  /** Finding or building programs. */
  readonly binariesMs: number
  /** From there until Pods can be taken. */
  readonly startMs: number
}

const systemTools: readonly SystemTool[] = ['runc', 'nft', 'ip', 'busybox', 'conntrack']

/**
 * Brings a cluster up, or what is missing of one that is there; resolves when it takes Pods. Rejects with Environment
 * or Usage: one sentence with the remedy. What was made until then is left, for another `up` or for `down`.
 */
export async function up(options: UpOptions, context: UpContext, signal: AbortSignal): Promise<UpResult> {
  const { name = defaultClusterName, images = [], metricsServer = false, spillway, ...shape } = options
  const recipes = [...imageRecipes, ...(metricsServer ? [metricsServerImage] : []), ...images]
  const { environment, processUid, progress, clock } = context
  checkClusterName(name)
  await checkMachine({ processUid, cores: cpus().length }, shape)
  const work = async (): Promise<UpResult> => {
    const beganMs = clock.monotonicMs()
    const tools = await getSystemTools(systemTools, { environment, processUid, progress }, signal)
    const invoker = await findInvoker(environment, processUid, signal)
    const cacheDir = userCacheDir(environment, invoker)
    const wanted = new Set([...embeddedBinaries, ...binariesOf(recipes), 'kubectl' as const])
    const places = { cacheDir, environment, invoker, progress }
    const binaries = await getBinaries([...wanted], places, signal)
    const gvisor = await getGvisor(places, signal)
    const preparedMs = clock.monotonicMs()
    const runc = tools.get('runc') ?? 'runc'
    const started = await startWithProgress(
      {
        name,
        shape,
        clock,
        log: context.log,
        random: context.random,
        binaries: new Map<BinaryName | 'runc', string>([...binaries, ...gvisor, ['runc', runc]]),
        command: commandOptions(environment),
        publishImages: async (registryUrl, signal) => {
          const busyboxPath = tools.get('busybox') ?? 'busybox'
          await publishImages({ recipes, registryUrl, binaries, busyboxPath, ...places }, signal)
        },
        ...(spillway === undefined ? {} : { spillway }),
      },
      progress,
      signal,
    )
    if (metricsServer) {
      const { cluster } = started
      await installMetricsServer({ cluster, binaries, command: commandOptions(environment) }, signal)
    }
    const kubectl = binaries.get('kubectl') ?? 'kubectl'
    const kubectlOnPath = (await findProgram('kubectl', searchPath(environment))) !== undefined
    return {
      ...started,
      kubectl,
      kubectlOnPath,
      binariesMs: preparedMs - beganMs,
      startMs: clock.monotonicMs() - preparedMs,
    }
  }
  const done = await withClusterLock(name, clock, work, signal)
  if (done === undefined) throw lockedError(name)
  return done.result
}

// Seconds of a second start on two cores.
const phaseSeconds = { namespaces: 1, 'control plane': 4, 'nodes and images': 8, Spillway: 2 } as const

async function startWithProgress(
  options: Omit<Parameters<typeof startCluster>[0], 'onPhase'>,
  progress: Progress,
  signal: AbortSignal,
): Promise<StartedCluster> {
  const task = progress.begin(
    `starting cluster "${options.name}"`,
    startPhases.map((name) => ({ name, weightSeconds: phaseSeconds[name] })),
  )
  let outcome: 'done' | 'failed' = 'failed'
  try {
    const started = await startCluster({ ...options, onPhase: (phase) => task.step(phase) }, signal)
    outcome = 'done'
    return started
  } finally {
    task.end(outcome)
  }
}
