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
  readonly volumes: Promise<readonly VolumeUsage[]>
  /** Monotonic. Infinite while the walk is under way. */
  untilMs: number
  /** Of the last walk that came to its end. */
  tookMs: number
}

// Less than from one look for Pods over their limits to the next.
const leastKeepMs = 5_000
// kubelet's volumeStatsAggPeriod, which keeps every volume for so long: a Pod that fills one had a minute for it.
const mostKeepMs = 60_000
const restFactor = 10

/**
 * For how long the volumes of a Pod are not walked through again: no walk takes more than a tenth of the time, nor do all
 * of them together unless that would take more than a minute. `allMs`: one walk of each Pod, this one's with them.
 */
export function keepMs({ tookMs, allMs }: { readonly tookMs: number; readonly allMs: number }): number {
  return Math.max(leastKeepMs, Math.min(restFactor * allMs, mostKeepMs), restFactor * tookMs)
}

/**
 * What Pods take on disk. Volumes are walked through, one Pod after the other, the less often the longer it takes, and only
 * when somebody asks. Logs, which are few files of ours, are measured each time: they grow by a GiB in twenty seconds.
 */
export class StorageUsage {
  readonly #clock: Clock
  readonly #kept = new Map<PodUid, Kept>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async of(pod: StoredPod, signal: AbortSignal): Promise<PodStorage> {
    const [volumes, files] = await Promise.all([
      this.#volumesOf(pod, signal),
      ownFiles(pod, this.#clock.wallMs(), signal),
    ])
    return { volumes, ...files }
  }

  /** Drops what is kept of Pods that are not among these. */
  keepOnly(uids: ReadonlySet<PodUid>): void {
    for (const uid of this.#kept.keys()) if (!uids.has(uid)) this.#kept.delete(uid)
  }

  async #volumesOf(pod: StoredPod, signal: AbortSignal): Promise<readonly VolumeUsage[]> {
    const known = this.#kept.get(pod.uid)
    if (known && this.#clock.monotonicMs() < known.untilMs) return await known.volumes
    const walk = this.#last.then(() => this.#walk(pod, signal))
    this.#last = walk.catch(() => undefined)
    this.#kept.set(pod.uid, { volumes: walk, untilMs: Number.POSITIVE_INFINITY, tookMs: known?.tookMs ?? 0 })
    return await walk
  }

  async #walk(pod: StoredPod, signal: AbortSignal): Promise<readonly VolumeUsage[]> {
    const beganMs = this.#clock.monotonicMs()
    try {
      const volumes = await walkVolumes(pod, this.#clock.wallMs(), signal)
      const entry = this.#kept.get(pod.uid)
      if (entry) {
        const endedMs = this.#clock.monotonicMs()
        entry.tookMs = endedMs - beganMs
        const allMs = [...this.#kept.values()].reduce((sum, { tookMs }) => sum + tookMs, 0)
        entry.untilMs = endedMs + keepMs({ tookMs: entry.tookMs, allMs })
      }
      return volumes
    } catch (error) {
      this.#kept.delete(pod.uid)
      throw error
    }
  }
}

async function walkVolumes(
  { paths, pod }: StoredPod,
  atMs: number,
  signal: AbortSignal,
): Promise<readonly VolumeUsage[]> {
  const volumes: VolumeUsage[] = []
  for (const name of await namesIn(join(paths.podDir, 'volumes'))) {
    const directory = join(paths.podDir, 'volumes', name)
    const claim = pod?.spec?.volumes?.find((volume) => volume.name === name)?.persistentVolumeClaim?.claimName
    const local = claim === undefined && (await onSameDisk(directory, paths.podDir))
    const used = await measure(directory, atMs, signal)
    volumes.push({ name, local, ...used, ...(claim !== undefined && { claim }) })
  }
  return volumes
}

async function ownFiles(
  { paths }: StoredPod,
  atMs: number,
  signal: AbortSignal,
): Promise<Pick<PodStorage, 'logs' | 'otherFiles'>> {
  const logs = new Map<string, FilesystemUsage>()
  for (const name of await namesIn(paths.logDir)) {
    logs.set(name, await measure(join(paths.logDir, name), atMs, signal))
  }
  return { logs, otherFiles: await measure(join(paths.podDir, 'etc-hosts'), atMs, signal) }
}

async function measure(path: string, atMs: number, signal: AbortSignal): Promise<FilesystemUsage> {
  const room: Partial<FilesystemRoom> = await filesystemRoom(path).catch(orNothing)
  return { atMs, ...(await diskUse(path, signal)), ...room }
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
