import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SpillwayError } from '../model/errors.ts'
import type { Environment, Invoker } from './cache-dir.ts'
import { chownTree, makeOwnedDir } from './cache-dir.ts'
import { outputTail, runCommand } from './command.ts'
import type { BinaryName } from './components.ts'
import { unpackPackages } from './debian-packages.ts'
import type { ImageRecipe, ImageSources } from './image-recipe.ts'
import { parseImageName } from './image-name.ts'
import { imageArchitecture, readImageLayout, writeImageLayout } from './oci-layout.ts'
import type { Progress } from './progress.ts'
import { RegistryClient } from './registry-client.ts'

export interface PublishImagesOptions {
  readonly recipes: readonly ImageRecipe[]
  /** As in `http://127.0.0.1:5000`; plain HTTP. */
  readonly registryUrl: string
  /** Built images are kept in `images/` below it. */
  readonly cacheDir: string
  /** With at least those of `binariesOf(recipes)`. */
  readonly binaries: ReadonlyMap<BinaryName, string>
  /** A statically linked busybox. */
  readonly busyboxPath: string
  readonly environment: Environment
  readonly invoker: Invoker
  readonly progress: Progress
}

export interface PublishedImage {
  /** Fully qualified, as in `docker.io/library/busybox:1.37`. */
  readonly name: string
  /** Digest of its manifest. */
  readonly digest: string
  /** Compressed layers together. */
  readonly layerBytes: number
}

/** What `publishImages` needs of `getBinaries`. */
export function binariesOf(recipes: readonly ImageRecipe[]): readonly BinaryName[] {
  return [...new Set(recipes.flatMap(({ binaries }) => binaries))].filter((name) => name !== 'busybox')
}

/**
 * Builds small images and puts them into the registry under the paths of their upstream names. What was built or put there before is left as it is. Rejects with `Environment`
 * (packages cannot be fetched) or `Unavailable` (the registry does not answer).
 */
export async function publishImages(
  options: PublishImagesOptions,
  signal: AbortSignal,
): Promise<readonly PublishedImage[]> {
  const registry = new RegistryClient(options.registryUrl)
  const { recipes } = options
  const steps = recipes.map(({ name, weightSeconds }) => ({ name, weightSeconds }))
  const task = options.progress.begin('building and publishing images', steps)
  let outcome: 'done' | 'failed' = 'failed'
  try {
    const published: PublishedImage[] = []
    for (const recipe of recipes) {
      task.step(recipe.name)
      published.push(await publish(recipe, registry, options, signal))
    }
    outcome = 'done'
    return published
  } finally {
    task.end(outcome)
  }
}

async function publish(
  recipe: ImageRecipe,
  registry: RegistryClient,
  options: PublishImagesOptions,
  signal: AbortSignal,
): Promise<PublishedImage> {
  const layoutDir = join(options.cacheDir, 'images', await layoutName(recipe, options, signal))
  let layout = await readImageLayout(layoutDir)
  if (layout === undefined) {
    await buildLayout(recipe, layoutDir, options, signal)
    layout = await readImageLayout(layoutDir)
  }
  if (layout === undefined) throw new Error(`${layoutDir} is no image layout, though it was just built`)
  const { repository, tag } = parseImageName(recipe.name)
  if ((await registry.resolve(repository, tag, signal)) !== layout.descriptor.digest) {
    const { manifest, bytes } = layout
    await registry.push({ repository, tag, layoutDir, manifest, manifestBytes: bytes }, signal)
  }
  return {
    name: recipe.name,
    digest: layout.descriptor.digest,
    layerBytes: layout.manifest.layers.reduce((sum, { size }) => sum + size, 0),
  }
}

/** Differs whenever what goes into the image does, so that a cached image is never a stale one. */
async function layoutName(
  recipe: ImageRecipe,
  options: PublishImagesOptions,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256').update(`${recipe.name} ${recipe.revision} ${process.arch}`)
  for (const name of recipe.binaries)
    await pipeline(createReadStream(sourcePath(name, options)), hash, { end: false, signal })
  const { repository, tag } = parseImageName(recipe.name)
  return `${repository.replaceAll('/', '_')}-${tag}-${hash.digest('hex').slice(0, 12)}`
}

function sourcePath(name: BinaryName | 'busybox', options: PublishImagesOptions): string {
  const path = name === 'busybox' ? options.busyboxPath : options.binaries.get(name)
  if (path === undefined) throw new Error(`publishImages needs the binary "${name}"`)
  return path
}

async function buildLayout(
  recipe: ImageRecipe,
  layoutDir: string,
  options: PublishImagesOptions,
  signal: AbortSignal,
): Promise<void> {
  const owner = options.invoker.runAs
  const imagesDir = join(options.cacheDir, 'images')
  await makeOwnedDir(imagesDir, owner)
  const workDir = await mkdtemp(join(imagesDir, '.packages-'))
  try {
    if (owner) await chown(workDir, owner.uid, owner.gid)
    const sources: ImageSources = {
      path: (name) => sourcePath(name, options),
      busyboxApplets: await listApplets(options, signal),
      packageRoot:
        recipe.debianPackages === undefined
          ? ''
          : await unpack(recipe.debianPackages, workDir, options, signal),
    }
    await writeImageLayout(await recipe.content(sources), layoutDir, imageArchitecture(process.arch))
    if (owner) await chownTree(layoutDir, owner)
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

async function unpack(
  packageNames: readonly string[],
  workDir: string,
  options: PublishImagesOptions,
  signal: AbortSignal,
): Promise<string> {
  const { environment, invoker } = options
  // The C library and what else is linked; not what only a full system needs (iproute2, service scripts, modules).
  const wantDependency = (name: string): boolean => /^(lib(?!nginx-mod)|zlib|nginx-co)/.test(name)
  return unpackPackages(packageNames, { environment, runAs: invoker.runAs, workDir, wantDependency }, signal)
}

async function listApplets(options: PublishImagesOptions, signal: AbortSignal): Promise<readonly string[]> {
  const { environment, busyboxPath } = options
  const result = await runCommand(busyboxPath, ['--list'], { environment, timeoutMs: 20_000 }, signal)
  if (result.exitCode === 0) return result.stdout.split('\n').filter((applet) => applet !== '')
  throw new SpillwayError('Environment', `"${busyboxPath} --list" failed: ${outputTail(result.stderr)}`)
}
