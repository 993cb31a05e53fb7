import { isAbsolute, join } from 'node:path'
import { expandVariables } from '../../../lifecycle/expand-variables.ts'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { Container, Pod, Volume } from '../../../model/kubernetes.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { RunCommand } from '../command-shell.ts'
import type { ImageSpec, MountConfig, MountPropagation } from '../runtime/cri-types.ts'
import { bindSubPath } from './sub-path.ts'

type Mount = NonNullable<Container['volumeMounts']>[number]

export interface ContainerMountsInput {
  readonly pod: Pod
  readonly container: Container
  /** The Pod's own directory on this machine. */
  readonly podDir: string
  /** The container's, for `subPathExpr`. */
  readonly environment: ReadonlyMap<string, string>
  /** By volume: the images of image volumes. */
  readonly images: ReadonlyMap<string, ImageSpec>
  /** Whether the runtime can make read-only what is mounted below, too. */
  readonly recursiveReadOnly: boolean
  /** For mount and umount. */
  readonly run: RunCommand
  readonly log: Log
}

/**
 * The mounts of `container.volumeMounts`, in order, sub-paths bound (pkg/kubelet makeMounts). Rejected, with the reason
 * `CreateContainerConfigError` and kubelet's sentence: one of them cannot be made.
 */
export async function containerMounts(
  input: ContainerMountsInput,
  signal: AbortSignal,
): Promise<readonly MountConfig[]> {
  const mounts: MountConfig[] = []
  for (const [index, mount] of (input.container.volumeMounts ?? []).entries()) {
    mounts.push(await oneMount({ ...input, mount, index }, signal))
  }
  return mounts
}

interface OneMount extends ContainerMountsInput {
  readonly mount: Mount
  readonly index: number
}

async function oneMount(input: OneMount, signal: AbortSignal): Promise<MountConfig> {
  const { pod, container, mount, images, podDir } = input
  const volume = pod.spec?.volumes?.find(({ name }) => name === mount.name)
  if (!volume) refuse(`cannot find volume "${mount.name}" to mount into container "${container.name}"`)
  const subPath = subPathOf(mount, input.environment)
  const common = {
    containerPath: isAbsolute(mount.mountPath) ? mount.mountPath : `/${mount.mountPath}`,
    readonly: mount.readOnly === true || isReadOnly(volume),
    propagation: propagationOf(mount),
    ...(isRecursivelyReadOnly(mount, input.recursiveReadOnly) && { recursiveReadOnly: true }),
  }
  const image = images.get(volume.name)
  if (image) return { ...common, hostPath: '', image, imageSubPath: subPath }
  const directory = volumeDirectory(volume, podDir)
  if (subPath === '') return { ...common, hostPath: directory }
  return { ...common, hostPath: await boundSubPath({ ...input, directory, subPath }, signal) }
}

/** Where the volume lies on this machine. */
export function volumeDirectory(volume: Volume, podDir: string): string {
  return volume.hostPath ? volume.hostPath.path : join(podDir, 'volumes', volume.name)
}

/** '' for the whole volume. */
function subPathOf({ subPath = '', subPathExpr }: Mount, environment: ReadonlyMap<string, string>): string {
  const path = subPathExpr ? expanded(subPathExpr, environment) : subPath
  if (isAbsolute(path)) refuse(`error SubPath \`${path}\` must not be an absolute path`)
  if (path.split('/').includes('..')) refuse(`unable to provision SubPath \`${path}\`: must not contain '..'`)
  return path
}

/** Unlike in a command, a variable that is missing or empty is an error: it would mount more than was meant. */
function expanded(expression: string, environment: ReadonlyMap<string, string>): string {
  const missing = new Set<string>()
  const path = expandVariables(expression, {
    get: (name) => {
      const value = environment.get(name) ?? ''
      if (value === '') missing.add(name)
      return value
    },
  })
  if (missing.size > 0) refuse(`missing value for ${[...missing].sort().join(', ')}`)
  return path
}

async function boundSubPath(
  input: OneMount & { readonly directory: string; readonly subPath: string },
  signal: AbortSignal,
): Promise<string> {
  const { container, mount, index, podDir, directory, subPath, run, log } = input
  const target = join(podDir, 'volume-subpaths', mount.name, container.name, String(index))
  try {
    await bindSubPath({ volumeDirectory: directory, path: subPath, target, run }, signal)
    return target
  } catch (error) {
    signal.throwIfAborted()
    // The details stay in our log: they would tell the Pod's owner about this machine's files.
    log.warn(
      { volume: mount.name, container: container.name, subPath, error: errorMessage(error) },
      'sub-path not mounted',
    )
    const message = `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`
    throw new SpillwayError('Rejected', message, { reason: 'CreateContainerConfigError', cause: error })
  }
}

/** What nobody may write: files that are kept up to date from the API, and images. */
function isReadOnly({ emptyDir, hostPath }: Volume): boolean {
  return !emptyDir && !hostPath
}

function propagationOf({ mountPropagation = 'None' }: Mount): MountPropagation {
  switch (mountPropagation) {
    case 'None':
      return 'PROPAGATION_PRIVATE'
    case 'HostToContainer':
      return 'PROPAGATION_HOST_TO_CONTAINER'
    case 'Bidirectional':
      return 'PROPAGATION_BIDIRECTIONAL'
    default:
      return refuse(`invalid MountPropagation mode: "${mountPropagation}"`)
  }
}

function isRecursivelyReadOnly(mount: Mount, supported: boolean): boolean {
  const { name, readOnly, recursiveReadOnly = 'Disabled', mountPropagation = 'None' } = mount
  if (recursiveReadOnly === 'Disabled') return false
  const fail = (why: string): never =>
    refuse(
      `failed to resolve recursive read-only mode: volume "${name}" requested recursive read-only mode, but ${why}`,
    )
  if (!readOnly) fail('it is not read-only')
  if (mountPropagation !== 'None') fail(`it is not compatible with propagation "${mountPropagation}"`)
  if (recursiveReadOnly === 'Enabled' && !supported) fail('it is not supported by the runtime')
  return supported
}

function refuse(message: string): never {
  throw new SpillwayError('Rejected', message, { reason: 'CreateContainerConfigError' })
}
