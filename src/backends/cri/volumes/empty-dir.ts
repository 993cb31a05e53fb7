import { chmod, mkdir, rename, rm } from 'node:fs/promises'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod, Volume } from '../../../model/kubernetes.ts'
import { parseBytes } from '../../../model/quantity.ts'
import type { RunCommand } from '../command-shell.ts'
import { podCgroupLimits } from '../resources/linux-resources.ts'
import { exists } from './atomic-writer.ts'
import { mountTmpfs } from './mounts.ts'
import { makeNestedMountPoints } from './nested-mount-points.ts'
import { groupMode } from './ownership.ts'

export interface EmptyDirInput {
  readonly volume: Volume
  readonly pod: Pod
  readonly directory: string
  /** Of the node: memory that no Pod can have more of. */
  readonly allocatableMemoryBytes: bigint
  /** Whether file systems in memory can be mounted here. */
  readonly tmpfs: boolean
  readonly giveToGroup: (directory: string) => Promise<void>
  /** For mount. */
  readonly run: RunCommand
}

const openToAll = 0o777

/**
 * Makes the directory if it is not there; what is in it later is the containers' own business. Answers whether it was
 * made now. Unsupported: a medium other than the disk and memory.
 */
export async function setUpEmptyDir(input: EmptyDirInput, signal: AbortSignal): Promise<boolean> {
  const medium = input.volume.emptyDir?.medium ?? ''
  if (medium === '') return await setUpDisk(input)
  if (medium === 'Memory' && input.tmpfs) return await setUpMemory(input, signal)
  throw new SpillwayError('Unsupported', `emptyDir medium "${medium}" is not supported here`)
}

async function setUpDisk({ volume, pod, directory, giveToGroup }: EmptyDirInput): Promise<boolean> {
  if (await exists(directory)) return false
  // Beside it under a name that no volume can have, then moved: a crash leaves all or nothing.
  const draft = `${directory}.new`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true })
  await chmod(draft, volume.emptyDir?.mode ?? openToAll)
  await makeNestedMountPoints({ pod, volume: volume.name, directory: draft })
  await giveToGroup(draft)
  await rename(draft, directory)
  return true
}

async function setUpMemory(input: EmptyDirInput, signal: AbortSignal): Promise<boolean> {
  const { volume, pod, directory, allocatableMemoryBytes, run } = input
  await mkdir(directory, { recursive: true, mode: openToAll })
  const size = `size=${memoryBytes({ volume, pod, allocatableMemoryBytes })}`
  const options = [size, ...rootOptions(volume, pod)]
  const isNew = await mountTmpfs({ directory, options, run }, signal)
  if (isNew) await makeNestedMountPoints({ pod, volume: volume.name, directory })
  return isNew
}

/** Owner and mode by mount options, so that no crash can leave it half set up. Without, the kernel makes it 1777. */
function rootOptions({ emptyDir }: Volume, pod: Pod): string[] {
  const fsGroup = pod.spec?.securityContext?.fsGroup
  const mode = emptyDir?.mode ?? 0o1777
  if (fsGroup !== undefined)
    return [`mode=${groupMode(mode, { readonly: false, directory: true }).toString(8)}`, `gid=${fsGroup}`]
  return emptyDir?.mode === undefined ? [] : [`mode=${mode.toString(8)}`]
}

/** No more than the node, the Pod and the volume itself may have (pkg/volume/emptydir calculateEmptyDirMemorySize). */
export function memoryBytes({
  volume,
  pod,
  allocatableMemoryBytes,
}: Pick<EmptyDirInput, 'volume' | 'pod' | 'allocatableMemoryBytes'>): bigint {
  const ofPod = podCgroupLimits(pod).memoryBytes ?? 0n
  const ofVolume = parseBytes(volume.emptyDir?.sizeLimit ?? '0')
  return [ofPod, ofVolume].reduce(
    (least, bytes) => (bytes > 0n && bytes < least ? bytes : least),
    allocatableMemoryBytes,
  )
}
