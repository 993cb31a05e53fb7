import { clockStepMs, wallOffsetMs, type Clock } from '../model/clock.ts'
import type { PodUid } from '../model/pod-key.ts'

// A number a Pod. One that is dropped begins anew, by the wall clock as it stands then.
const rememberedPods = 100_000

/**
 * Wall time that goes on evenly, for each Pod by itself: as the wall clock stood when we first dealt with the Pod, plus
 * what the monotonic clock has counted since. Somebody who sets the wall clock while it runs changes nothing for it: an
 * hour back would be an hour for nothing, and an hour ahead one that nobody ran. One such clock for all Pods would be
 * wrong for those that come after: their backend, on this machine, goes by the wall clock as it was set. That it was set is
 * told by app/clock-steps.ts.
 */
export class SteadyTime {
  readonly #clock: Clock
  readonly #offsetsMs = new Map<PodUid, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be called whenever we deal with a Pod: the first time is the one that its clock goes by. */
  begin(uid: PodUid): void {
    this.#ofPod(uid)
  }

  /** Whole milliseconds. */
  nowMs(uid: PodUid): number {
    return Math.round(this.#ofPod(uid) + this.#clock.monotonicMs())
  }

  /** Whether the wall clock was set back since we first dealt with the Pod. */
  wasSetBack(uid: PodUid): boolean {
    return wallOffsetMs(this.#clock) - this.#ofPod(uid) < -clockStepMs
  }

  /** By how much the wall clock is ahead of the Pod's; 0: by nothing that is worth a word. */
  aheadMs(uid: PodUid): number {
    const byMs = Math.round(wallOffsetMs(this.#clock) - this.#ofPod(uid))
    return byMs > clockStepMs ? byMs : 0
  }

  #ofPod(uid: PodUid): number {
    const known = this.#offsetsMs.get(uid)
    if (known !== undefined) return known
    const offsetMs = wallOffsetMs(this.#clock)
    this.#offsetsMs.set(uid, offsetMs)
    const [oldest] = this.#offsetsMs.keys()
    if (oldest !== undefined && this.#offsetsMs.size > rememberedPods) this.#offsetsMs.delete(oldest)
    return offsetMs
  }
}
