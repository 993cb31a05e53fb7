import { readFile } from 'node:fs/promises'
import type { Clock } from '../../../model/clock.ts'
import { hasCode } from '../../../model/errors.ts'
import type { PodUid } from '../../../model/pod-key.ts'
import type {
  BackendUsage,
  ContainerUsage,
  FilesystemUsage,
  PodUsage,
  UsageOptions,
} from '../../../model/pod-usage.ts'
import type { CriClient } from '../runtime/client.ts'
import { nanosToMs } from '../runtime/cri-types.ts'
import { ownerLabels, type Owner } from '../marks.ts'
import type { RuntimeView } from '../pod/observe.ts'
import { filesystemRoom, filesystemUsage, type FilesystemRoom } from './disk-usage.ts'
import { StorageUsage, type PodStorage, type StoredPod } from './pod-storage.ts'
import type { PodSandboxStats } from './stats-types.ts'
import { withKernelMemory } from './sealed-memory.ts'
import { fileUsage, podUsage, type CreationTimes } from './translate-stats.ts'

/** One Pod, as far as it is measured. */
export interface MeasuredPod extends Omit<StoredPod, 'uid'> {
  readonly ref: { readonly uid: PodUid }
  readonly picture: RuntimeView
}

export interface UsageMeterOptions {
  readonly client: CriClient
  readonly owner: Owner
  readonly stateDir: string
  readonly pods: () => readonly MeasuredPod[]
  /** Of sandboxes with a kernel of their own, which counts otherwise than the machine's. */
  readonly isSealed: (pod: MeasuredPod) => boolean
  readonly clock: Clock
}

// The runtime's own collector looks once a second: asking more often tells nothing new.
const keepMs = 1_000

/** What the Pods on a runtime use. One list for all of them, kept for a moment and shared by those who ask meanwhile. */
export class UsageMeter {
  readonly #options: UsageMeterOptions
  readonly #storage: StorageUsage
  #look: { readonly pods: Promise<readonly PodUsage[]>; untilMs: number } | undefined

  constructor(options: UsageMeterOptions) {
    this.#options = options
    this.#storage = new StorageUsage(options.clock)
  }

  /** `life` ends the looks themselves: who asks meanwhile shares them. */
  async usage({ storage, storageOf }: UsageOptions, life: AbortSignal): Promise<BackendUsage> {
    const { clock, stateDir } = this.#options
    const [pods, disk, mostProcesses] = await Promise.all([
      this.#pods(life),
      filesystemUsage(stateDir, clock.wallMs()),
      readFile('/proc/sys/kernel/pid_max', 'utf8'),
    ])
    const usage = { pods, disk, mostProcesses: BigInt(mostProcesses.trim()) }
    if (!storage) return usage
    const images = await this.#images(life)
    return {
      ...usage,
      pods: await this.#withStorage(pods, { storageOf, images }, life),
      ...(images && { images: images.usage }),
    }
  }

  async #pods(life: AbortSignal): Promise<readonly PodUsage[]> {
    const nowMs = this.#options.clock.monotonicMs()
    if (this.#look && nowMs < this.#look.untilMs) return await this.#look.pods
    const look = { pods: this.#ask(life), untilMs: Number.POSITIVE_INFINITY }
    this.#look = look
    try {
      const pods = await look.pods
      look.untilMs = this.#options.clock.monotonicMs() + keepMs
      return pods
    } catch (error) {
      if (this.#look === look) this.#look = undefined
      throw error
    }
  }

  async #ask(life: AbortSignal): Promise<readonly PodUsage[]> {
    const stats = await this.#stats(life)
    const { pods, isSealed } = this.#options
    const createdAtMs = creationTimes(pods())
    const sealed = new Set(pods().flatMap((pod) => (isSealed(pod) ? pod.ref.uid : [])))
    const used = stats.flatMap((one) => podUsage(one, createdAtMs) ?? [])
    return used.map((pod) => (sealed.has(pod.uid) ? withKernelMemory(pod) : pod))
  }

  /**
   * A sandbox that is ending just now makes containerd fail the whole list: its network namespace is gone before its
   * state says so. Then each is asked alone, and those that cannot answer are left out.
   */
  async #stats(life: AbortSignal): Promise<readonly PodSandboxStats[]> {
    const { client, owner } = this.#options
    try {
      return await client.listSandboxStats(ownerLabels(owner), life)
    } catch (error) {
      if (life.aborted) throw error
      const sandboxes = await client.listSandboxes(ownerLabels(owner), life)
      const ready = sandboxes.filter(({ state }) => state === 'SANDBOX_READY')
      const each = await Promise.allSettled(ready.map(({ id }) => client.sandboxStats(id, life)))
      const found = each.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      if (found.length === 0 && ready.length > 0) throw error
      return found
    }
  }

  /** Undefined when the runtime does not tell. */
  async #images(
    life: AbortSignal,
  ): Promise<{ readonly usage: FilesystemUsage; readonly room: FilesystemRoom } | undefined> {
    try {
      const [stats] = await this.#options.client.imageFilesystems(life)
      if (!stats?.fsId) return undefined
      const room = await filesystemRoom(stats.fsId.mountpoint)
      return { usage: { ...fileUsage(stats), ...room }, room }
    } catch (error) {
      if (hasCode(error, 'Unsupported')) return undefined
      throw error
    }
  }

  async #withStorage(
    pods: readonly PodUsage[],
    { storageOf, images }: StorageWish,
    life: AbortSignal,
  ): Promise<readonly PodUsage[]> {
    const measured = new Map(this.#options.pods().map((pod) => [pod.ref.uid, pod]))
    this.#storage.keepOnly(new Set(pods.map(({ uid }) => uid)))
    return await Promise.all(
      pods.map(async (pod) => {
        const own = measured.get(pod.uid)
        if (!own || (storageOf && !storageOf.has(pod.uid))) return pod
        const storage = await this.#storage.of({ uid: pod.uid, paths: own.paths, pod: own.pod }, life)
        return { ...pod, ...withFiles(pod, storage, images?.room) }
      }),
    )
  }
}

interface StorageWish {
  readonly storageOf: UsageOptions['storageOf']
  readonly images: { readonly room: FilesystemRoom } | undefined
}

function withFiles(
  pod: PodUsage,
  { volumes, logs, otherFiles }: PodStorage,
  room: FilesystemRoom | undefined,
): Pick<PodUsage, 'containers' | 'volumes' | 'otherFiles'> {
  const containers = pod.containers.map((container): ContainerUsage => {
    const log = logs.get(container.name)
    return {
      ...container,
      ...(container.root && { root: { ...container.root, ...room } }),
      ...(log && { logs: log }),
    }
  })
  return { containers, volumes, otherFiles }
}

function creationTimes(pods: readonly MeasuredPod[]): CreationTimes {
  const times = new Map<string, number>()
  for (const { picture } of pods) {
    for (const { id, createdAt } of picture.sandboxes) times.set(id, nanosToMs(createdAt))
    for (const { status } of picture.containers) times.set(status.id, nanosToMs(status.createdAt))
  }
  return times
}
