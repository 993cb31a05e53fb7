import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../model/clock.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import type { PodUid } from '../../../model/pod-key.ts'
import type { FilesystemUsage, VolumeUsage } from '../../../model/pod-usage.ts'
import type { PodPaths } from '../paths.ts'
import { isMissing } from '../volumes/atomic-writer.ts'
import { diskUse, filesystemRoom, onSameDisk, type FilesystemRoom } from './disk-usage.ts'

/** What one Pod keeps on this machine's disks, besides its containers' writable layers. */
export interface PodStorage {
  readonly volumes: readonly VolumeUsage[]
  /** By container. */
  readonly logs: ReadonlyMap<string, FilesystemUsage>
  readonly otherFiles: FilesystemUsage
}

export interface StoredPod {
  readonly uid: PodUid
  readonly paths: PodPaths
  /** Undefined while nobody has handed it over in this life of the process. */
  readonly pod: Pod | undefined
}

interface Kept {
  readonly storage: Promise<PodStorage>
  /** Monotonic. Infinite while the walk is under way. */
  untilMs: number
}

// kubelet's volumeStatsAggPeriod.
const keepMs = 60_000
/** A walk that takes long is repeated the later: walking never takes more than a tenth of the time. */
const restFactor = 10

/**
 * What Pods take on disk, found by walking through their directories: one Pod after the other, each at most once a
 * minute, and only when somebody asks.
 */
export class StorageUsage {
  readonly #clock: Clock
  readonly #kept = new Map<PodUid, Kept>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async of(pod: StoredPod, signal: AbortSignal): Promise<PodStorage> {
    const known = this.#kept.get(pod.uid)
    if (known && this.#clock.monotonicMs() < known.untilMs) return await known.storage
    const walk = this.#last.then(() => this.#walk(pod, signal))
    this.#last = walk.catch(() => undefined)
    this.#kept.set(pod.uid, { storage: walk, untilMs: Number.POSITIVE_INFINITY })
    return await walk
  }

  /** Drops what is kept of Pods that are not among these. */
  keepOnly(uids: ReadonlySet<PodUid>): void {
    for (const uid of this.#kept.keys()) if (!uids.has(uid)) this.#kept.delete(uid)
  }

  async #walk(pod: StoredPod, signal: AbortSignal): Promise<PodStorage> {
    const beganMs = this.#clock.monotonicMs()
    try {
      const storage = await podStorage(pod, this.#clock.wallMs(), signal)
      const nowMs = this.#clock.monotonicMs()
      const entry = this.#kept.get(pod.uid)
      if (entry) entry.untilMs = nowMs + Math.max(keepMs, restFactor * (nowMs - beganMs))
      return storage
    } catch (error) {
      this.#kept.delete(pod.uid)
      throw error
    }
  }
}

async function podStorage({ paths, pod }: StoredPod, atMs: number, signal: AbortSignal): Promise<PodStorage> {
  const measure = async (path: string): Promise<FilesystemUsage> => {
    const room: Partial<FilesystemRoom> = await filesystemRoom(path).catch(orNothing)
    return { atMs, ...(await diskUse(path, signal)), ...room }
  }
  const volumes: VolumeUsage[] = []
  for (const name of await namesIn(join(paths.podDir, 'volumes'))) {
    const directory = join(paths.podDir, 'volumes', name)
    const claim = pod?.spec?.volumes?.find((volume) => volume.name === name)?.persistentVolumeClaim?.claimName
    const local = claim === undefined && (await onSameDisk(directory, paths.podDir))
    volumes.push({ name, local, ...(await measure(directory)), ...(claim !== undefined && { claim }) })
  }
  const logs = new Map<string, FilesystemUsage>()
  for (const name of await namesIn(paths.logDir)) logs.set(name, await measure(join(paths.logDir, name)))
  return { volumes, logs, otherFiles: await measure(join(paths.podDir, 'etc-hosts')) }
}

/** The directories of volumes or containers; drafts have a dot in their names, which those cannot have. */
async function namesIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory() && !entry.name.includes('.')).map(({ name }) => name)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function orNothing(error: unknown): object {
  if (isMissing(error)) return {}
  throw error
}
