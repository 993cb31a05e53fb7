import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../model/clock.ts'
import { errorMessage, SpillwayError, type ErrorCode } from '../../../model/errors.ts'
import type { Container, Pod, Volume } from '../../../model/kubernetes.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { PodSources } from '../../backend.ts'
import type { RunCommand } from '../command-shell.ts'
import type { MountConfig } from '../runtime/cri-types.ts'
import { writeAtomically } from './atomic-writer.ts'
import { containerMounts, volumeDirectory, type ContainerMountsInput } from './container-mounts.ts'
import { memoryBytes, setUpEmptyDir, type EmptyDirInput } from './empty-dir.ts'
import { checkHostPath } from './host-path.ts'
import { mountTmpfs, shareMounts, unmountBelow } from './mounts.ts'
import { makeNestedMountPoints } from './nested-mount-points.ts'
import { giveToGroup } from './ownership.ts'
import { volumePayload } from './payload.ts'
import type { PodCertificates } from './pod-certificates.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'

export interface VolumesInput {
  readonly pod: Pod
  /** The Pod's own directory on this machine. `volumes` and `volume-subpaths` in it are ours. */
  readonly podDir: string
  readonly sources: PodSources
  /** These two outlive a failure to prepare: what was asked for is not asked for again at each try. */
  readonly tokens: ServiceAccountTokens
  readonly certificates: PodCertificates
  readonly clock: Clock
  readonly log: Log
  /** For mount and umount. */
  readonly run: RunCommand
  /**
   * Whether secrets go to memory file systems: needs root and the runtime's mount namespace. Without it they are plain
   * files, and an `emptyDir` with medium Memory is refused. Default: whether the process is root.
   */
  readonly tmpfs?: boolean
}

export type MountOptions = Pick<ContainerMountsInput, 'environment' | 'images' | 'recursiveReadOnly'>

export interface VolumesRefresh {
  /** Whether any file changed. */
  readonly changed: boolean
  /** In how many milliseconds a token or certificate is due for replacement; absent when there is none. */
  readonly nextRefreshMs?: number
}

/**
 * Makes or finds every volume of the Pod; may be called again for the same directory, also by a later process.
 * NotFound, with the reason `FailedMount`: something that is not optional is missing now; try again.
 * Unsupported: a kind of volume that is not offered (admission refuses it before).
 */
export async function prepareVolumes(input: VolumesInput, signal: AbortSignal): Promise<PreparedVolumes> {
  const prepared = new PreparedVolumes(input)
  await prepared.refresh(input.pod, signal)
  return prepared
}

/** Unmounts and removes the Pod's volumes. Needs only the directory; resolves when gone, also if nothing was there. */
export async function removeVolumes(
  { podDir, run }: Pick<VolumesInput, 'podDir' | 'run'>,
  signal: AbortSignal,
): Promise<void> {
  for (const name of ['volume-subpaths', 'volumes']) {
    const directory = join(podDir, name)
    // First the mounts: removing through a bind mount would empty the volume behind it.
    await unmountBelow(directory, run, signal)
    await rm(directory, { recursive: true, force: true })
  }
}

/** The volumes of one Pod, on disk. */
export class PreparedVolumes {
  readonly #input: VolumesInput
  readonly #tmpfs: boolean
  readonly #checkedHostPaths = new Set<string>()
  #lastRefresh: Promise<unknown> = Promise.resolve()

  constructor(input: VolumesInput) {
    this.#input = input
    this.#tmpfs = input.tmpfs ?? process.getuid?.() === 0
  }

  /**
   * Reads what changed and swaps it in. `pod` carries newer labels and annotations. A volume that fails does not keep
   * the others from being refreshed; the first failure is thrown at the end, and what was there stays.
   */
  async refresh(pod: Pod, signal: AbortSignal): Promise<VolumesRefresh> {
    // One at a time: two writers of one volume would remove each other's drafts.
    const turn = this.#lastRefresh.then(() => this.#refreshNow(pod, signal))
    this.#lastRefresh = turn.catch(() => undefined)
    return await turn
  }

  async #refreshNow(pod: Pod, signal: AbortSignal): Promise<VolumesRefresh> {
    const outcomes = await Promise.allSettled(
      (pod.spec?.volumes ?? []).map((volume) => this.#setUp(volume, pod, signal)),
    )
    signal.throwIfAborted()
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const changed = outcomes.some((outcome) => outcome.status === 'fulfilled' && outcome.value)
    const { tokens, certificates, clock } = this.#input
    const dueAtMs = Math.min(tokens.dueAtMs ?? Infinity, certificates.dueAtMs ?? Infinity)
    if (dueAtMs === Infinity) return { changed }
    return { changed, nextRefreshMs: Math.max(dueAtMs - clock.wallMs(), 0) }
  }

  /** The container's mounts; what is wrong with one is told in kubelet's words. */
  mountsFor(
    container: Container,
    { environment, images, recursiveReadOnly }: MountOptions,
    signal: AbortSignal,
  ): Promise<readonly MountConfig[]> {
    const { pod, podDir, run, log } = this.#input
    return containerMounts(
      { pod, container, podDir, environment, images, recursiveReadOnly, run, log },
      signal,
    )
  }

  async #setUp(volume: Volume, pod: Pod, signal: AbortSignal): Promise<boolean> {
    try {
      // The runtime mounts it; its image is pulled when a container that mounts it starts.
      if (volume.image) return false
      if (volume.hostPath) return await this.#checkHostPath(volume, volume.hostPath)
      const changed = volume.emptyDir
        ? await setUpEmptyDir(this.#emptyDir(volume, pod), signal)
        : await this.#setUpFiles(volume, pod, signal)
      const directory = volumeDirectory(volume, this.#input.podDir)
      if (isPropagated(volume, pod)) await shareMounts(directory, this.#input.run, signal)
      return changed
    } catch (error) {
      signal.throwIfAborted()
      const code: ErrorCode = error instanceof SpillwayError ? error.code : 'Unavailable'
      const message = `MountVolume.SetUp failed for volume "${volume.name}" : ${errorMessage(error)}`
      throw new SpillwayError(code, message, { reason: 'FailedMount', cause: error })
    }
  }

  /** Once: what the containers and others do with it afterwards is their own business. */
  async #checkHostPath({ name }: Volume, hostPath: NonNullable<Volume['hostPath']>): Promise<boolean> {
    if (this.#checkedHostPaths.has(name)) return false
    await checkHostPath(hostPath)
    this.#checkedHostPaths.add(name)
    return true
  }

  #emptyDir(volume: Volume, pod: Pod): EmptyDirInput {
    const { podDir, sources, run } = this.#input
    return {
      volume,
      pod,
      directory: volumeDirectory(volume, podDir),
      allocatableMemoryBytes: sources.node.allocatableMemoryBytes,
      tmpfs: this.#tmpfs,
      giveToGroup: (draft) => this.#giveToGroup(draft, pod, false),
      run,
    }
  }

  async #setUpFiles(volume: Volume, pod: Pod, signal: AbortSignal): Promise<boolean> {
    const { podDir, sources, tokens, certificates, clock, run } = this.#input
    const payload = await volumePayload(volume, { pod, sources, tokens, certificates }, signal)
    if (!payload) {
      const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'without a source'
      throw new SpillwayError('Unsupported', `volumes of kind ${kind} are not supported here`)
    }
    const directory = volumeDirectory(volume, podDir)
    const isNew = (await mkdir(directory, { recursive: true, mode: 0o750 })) !== undefined
    if (isNew) await chmod(directory, 0o777)
    // Like kubelet: what may be secret never touches a disk.
    if (this.#tmpfs && !volume.configMap) {
      const size = memoryBytes({ volume, pod, allocatableMemoryBytes: sources.node.allocatableMemoryBytes })
      await mountTmpfs({ directory, options: [`size=${size}`], run }, signal)
    }
    await makeNestedMountPoints({ pod, volume: volume.name, directory })
    return await writeAtomically({
      directory,
      payload,
      nowMs: clock.wallMs(),
      setOwnership: () => this.#giveToGroup(directory, pod, true),
    })
  }

  async #giveToGroup(directory: string, pod: Pod, readonly: boolean): Promise<void> {
    const fsGroup = pod.spec?.securityContext?.fsGroup
    if (fsGroup === undefined) return
    const onTrouble = (path: string, error: unknown): void => {
      this.#input.log.warn(
        { path, fsGroup, error: errorMessage(error) },
        'volume file not given to the group',
      )
    }
    await giveToGroup({ directory, fsGroup, readonly, onTrouble })
  }
}

/** Whether some container wants mounts that are made in the volume to travel in or out. */
function isPropagated({ name }: Volume, pod: Pod): boolean {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers].some(({ volumeMounts = [] }) =>
    volumeMounts.some((mount) => mount.name === name && (mount.mountPropagation ?? 'None') !== 'None'),
  )
}
