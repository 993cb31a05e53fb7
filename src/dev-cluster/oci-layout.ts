import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LayerBlob, LayerEntry } from './layer.ts'
import { writeLayer } from './layer.ts'

/** The part of an OCI image configuration that says how a container starts. */
export interface ImageRunConfig {
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Env?: readonly string[]
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>
  readonly StopSignal?: string
  readonly User?: string
  readonly WorkingDir?: string
}

export interface ImageContent {
  /** Lowest first. */
  readonly layers: readonly (readonly LayerEntry[])[]
  readonly config: ImageRunConfig
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface ImageManifest {
  readonly schemaVersion: 2
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Node's names of processors in Go's, which images use. */
export function imageArchitecture(nodeArchitecture: string): string {
  return nodeArchitecture === 'x64' ? 'amd64' : nodeArchitecture
}

/** File of a blob in a layout folder. */
export function blobPath(layoutDir: string, digest: string): string {
  return join(layoutDir, 'blobs', ...digest.split(':'))
}

/**
 * Builds an image into an OCI image layout folder of its own. The folder appears whole or not at all: it is filled under
 * a temporary name and then renamed. One that is there already is left as it is.
 */
export async function writeImageLayout(
  content: ImageContent,
  layoutDir: string,
  architecture: string,
): Promise<void> {
  const workDir = `${layoutDir}.building-${process.pid}`
  await rm(workDir, { recursive: true, force: true })
  await mkdir(join(workDir, 'blobs/sha256'), { recursive: true })
  try {
    const layers: LayerBlob[] = []
    for (const entries of content.layers) {
      const unnamed = join(workDir, 'layer')
      const blob = await writeLayer(entries, unnamed)
      await rename(unnamed, blobPath(workDir, blob.digest))
      layers.push(blob)
    }
    const config = await writeJson(workDir, configType, imageConfig(content.config, layers, architecture))
    const manifest = await writeJson(workDir, manifestType, {
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: layers.map(({ digest, bytes }) => ({ mediaType: layerType, digest, size: bytes })),
    } satisfies ImageManifest)
    await writeFile(join(workDir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    await writeFile(join(workDir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }))
    await rename(workDir, layoutDir)
  } catch (error) {
    await rm(workDir, { recursive: true, force: true })
    // Another process has built the same meanwhile; ours is equal.
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
  }
}

function imageConfig(config: ImageRunConfig, layers: readonly LayerBlob[], architecture: string): object {
  const created = '1970-01-01T00:00:00Z'
  return {
    created,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created, created_by: 'spillway' })),
  }
}

async function writeJson(layoutDir: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value))
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  await writeFile(blobPath(layoutDir, digest), bytes)
  return { mediaType, digest, size: bytes.length }
}

/** The one manifest of a layout; undefined when there is no whole layout in the folder. */
export async function readImageLayout(
  layoutDir: string,
): Promise<
  { readonly descriptor: Descriptor; readonly bytes: Buffer; readonly manifest: ImageManifest } | undefined
> {
  let index: string
  try {
    index = await readFile(join(layoutDir, 'index.json'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const { manifests } = JSON.parse(index) as { manifests: readonly Descriptor[] }
  const [descriptor] = manifests
  if (descriptor === undefined) throw new Error(`${layoutDir}/index.json names no manifest`)
  const bytes = await readFile(blobPath(layoutDir, descriptor.digest))
  return { descriptor, bytes, manifest: JSON.parse(bytes.toString()) as ImageManifest }
}
