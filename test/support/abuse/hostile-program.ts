import { readFileSync } from 'node:fs'
import { getBinaries } from '../../../src/dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../../../src/dev-cluster/cache-dir.ts'
import type { BinaryName, Component } from '../../../src/dev-cluster/components.ts'
import { busyboxLayer, defaultEnv, type ImageRecipe } from '../../../src/dev-cluster/image-recipe.ts'
import { publishImages } from '../../../src/dev-cluster/images.ts'
import { createTerminalProgress } from '../../../src/dev-cluster/progress.ts'
import { getSystemTools } from '../../../src/dev-cluster/system-packages.ts'
import { systemClock } from '../../../src/model/clock.ts'
import type { Story } from '../story.ts'

// Of the tests alone: what clusters are made of does not know it.
const hostileProgram = 'hostile-program' as BinaryName
const component: Component = {
  name: 'hostile-program',
  version: 'v0.49.0',
  // It has the numbers of calls for each processor; Go's own library stopped taking in new ones.
  module: 'golang.org/x/sys',
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  mainSource: readFileSync(new URL('hostile-program.go', import.meta.url), 'utf8'),
  diskMegabytes: 60,
  steps: [{ weightSeconds: 3, binaries: [{ name: hostileProgram }] }],
}

const recipe: ImageRecipe = {
  name: 'registry.example/abuse/hostile-program:1',
  revision: 1,
  binaries: ['busybox', hostileProgram],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [
      busyboxLayer(sources),
      [{ kind: 'file', path: 'hostile-program', source: sources.path(hostileProgram), mode: 0o755 }],
    ],
    config: { Env: defaultEnv, Entrypoint: ['/hostile-program'] },
  }),
}

/** The image's name in Pods. Its entry point is the program. */
export const hostileProgramImage = recipe.name

/** Builds the program, once on a machine, and puts its image into the cluster's registry. Resolves to the program's file. */
export async function publishHostileProgram({ cluster, signal }: Story): Promise<string> {
  const environment = process.env
  const processUid = process.getuid?.() ?? 0
  const progress = createTerminalProgress(process.stderr, systemClock)
  const invoker = await findInvoker(environment, processUid, signal)
  const places = { cacheDir: userCacheDir(environment, invoker), environment, invoker, progress }
  const binaries = await getBinaries([hostileProgram], { ...places, table: [component] }, signal)
  const tools = await getSystemTools(['busybox'], { environment, processUid, progress }, signal)
  const busyboxPath = tools.get('busybox') ?? 'busybox'
  const { registryUrl } = cluster
  await publishImages({ recipes: [recipe], registryUrl, binaries, busyboxPath, ...places }, signal)
  return binaries.get(hostileProgram) ?? ''
}
