import type { Backend, BackendHealth } from '../backends/backend.ts'
import { shortageMessage, whoGoesFirst, type MeasuredPod } from '../lifecycle/who-goes-first.ts'
import type { Clock } from '../model/clock.ts'
import { podRef, type PodUid } from '../model/pod-key.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { Shortage } from '../model/shortage.ts'
import type { Log } from '../telemetry/log.ts'
import { disrupted, evict, mayBeEvicted, type WatchedPods } from './evict.ts'
import type { PodEventSink } from './pod-event.ts'

export interface ShortageReliefOptions {
  readonly backend: Pick<Backend, 'name' | 'health' | 'reclaim' | 'usage'>
  readonly observed: (uid: PodUid) => PodObservation | undefined
  readonly recordEvent: PodEventSink
  readonly clock: Clock
  readonly log: Log
}

interface Candidate extends MeasuredPod {
  readonly node: WatchedPods
}

/** kubelet's podCleanupTimeout: for so long nobody else goes, while what the last one held comes free. */
const makeRoomMs = 30_000

/**
 * What kubelet's eviction manager does for a node: when memory, disk, inodes or process ids run out, first what nobody
 * needs is given back, and if that is not enough one Pod goes, and is waited for, before it is looked again.
 */
export class ShortageRelief {
  readonly #options: ShortageReliefOptions
  #going: { readonly uid: PodUid; readonly untilMs: number } | undefined

  constructor(options: ShortageReliefOptions) {
    this.#options = options
  }

  /** One look. Rejects when the backend cannot be asked, or a mark cannot be written: the next look does it. */
  async look(nodes: readonly WatchedPods[], signal: AbortSignal): Promise<void> {
    const { backend, clock, log, recordEvent } = this.#options
    const shortage = await this.#lasting(signal)
    if (!shortage || this.#leavesTime(shortage)) return
    const first = whoGoesFirst(await this.#candidates(nodes, shortage, signal), shortage)
    const { resource, least, available } = shortage
    const amounts = { backend: backend.name, resource, least: String(least), available: String(available) }
    if (!first) return log.warn(amounts, 'the node is short, and has no Pod to evict')
    const { node, pod } = first
    const message = shortageMessage(first, shortage)
    log.warn({ ...amounts, pod: podRef(pod).uid }, 'the node is short: a Pod has to go')
    const condition = disrupted(pod, message, clock.wallMs())
    await evict({ node, pod, message, condition, recordEvent }, signal)
    this.#going = { uid: podRef(pod).uid, untilMs: clock.monotonicMs() + makeRoomMs }
  }

  /** Whether the last one that had to go is to have this look, too: until it has stopped, and of a disk once more. */
  #leavesTime(shortage: Shortage): boolean {
    if (!this.#going || this.#options.clock.monotonicMs() >= this.#going.untilMs) return false
    const seen = this.#options.observed(this.#going.uid)
    if (seen !== undefined && seen.phase !== 'stopped') return true
    // Its layer was given back in this very look, and containerd removes files after its answer: to be seen at the next.
    this.#going = undefined
    return isOfDisk(shortage)
  }

  /** What is short even when all has been given back that can be. */
  async #lasting(signal: AbortSignal): Promise<Shortage | undefined> {
    const { backend, log } = this.#options
    const shortage = shortageIn(await backend.health(signal))
    if (!shortage || !isOfDisk(shortage)) return shortage
    log.warn({ resource: shortage.resource }, 'the disk is short: giving back what nobody needs')
    await backend.reclaim(signal)
    return shortageIn(await backend.health(signal))
  }

  async #candidates(
    nodes: readonly WatchedPods[],
    { resource }: Shortage,
    signal: AbortSignal,
  ): Promise<readonly Candidate[]> {
    const storage = isOfDisk({ resource })
    const usage = await this.#options.backend.usage({ storage }, signal)
    const measured = new Map(usage.pods.map((pod) => [pod.uid, pod]))
    return nodes.flatMap((node) =>
      node.pods
        .filter((pod) => mayBeEvicted(pod) && this.#isThere(podRef(pod).uid))
        .map((pod) => ({ node, pod, usage: measured.get(podRef(pod).uid) })),
    )
  }

  /** Only who has something here can give anything back. */
  #isThere(uid: PodUid): boolean {
    const seen = this.#options.observed(uid)
    return seen?.phase === 'starting' || seen?.phase === 'running'
  }
}

function isOfDisk({ resource }: Pick<Shortage, 'resource'>): boolean {
  return resource === 'ephemeral-storage' || resource === 'inodes'
}

/** Memory first: without it nothing else can be done about. */
function shortageIn({ memory, disk, pids }: BackendHealth): Shortage | undefined {
  return [memory, disk, pids].find(({ shortage }) => shortage)?.shortage
}
