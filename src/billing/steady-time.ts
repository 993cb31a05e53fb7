import type { Clock } from '../model/clock.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'

// Less is what NTP corrects in small steps, and what two readings of two clocks are apart.
const noticedMs = 1_000

// A number a Pod. One that is dropped begins anew, by the wall clock as it stands then.
const rememberedPods = 100_000

/**
 * Wall time that goes on evenly, for each Pod by itself: as the wall clock stood when we first dealt with the Pod, plus
 * what the monotonic clock has counted since. Somebody who sets the wall clock while it runs changes nothing for it: an
 * hour back would be an hour for nothing, and an hour ahead one that nobody ran. One such clock for all Pods would be
 * wrong for those that come after: their backend, on this machine, goes by the wall clock as it was set.
 */
export class SteadyTime {
  readonly #clock: Clock
  readonly #log: Log
  readonly #offsetsMs = new Map<PodUid, number>()
  #lastOffsetMs: number

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
    this.#lastOffsetMs = this.#offsetMs()
  }

  /** To be called whenever we deal with a Pod: the first time is the one that its clock goes by. */
  begin(uid: PodUid): void {
    this.#ofPod(uid)
  }

  /** Whole milliseconds. */
  nowMs(uid: PodUid): number {
    this.#tell()
    return Math.round(this.#ofPod(uid) + this.#clock.monotonicMs())
  }

  /** Whether the wall clock was set back since we first dealt with the Pod. */
  wasSetBack(uid: PodUid): boolean {
    return this.#offsetMs() - this.#ofPod(uid) < -noticedMs
  }

  #ofPod(uid: PodUid): number {
    const known = this.#offsetsMs.get(uid)
    if (known !== undefined) return known
    const offsetMs = this.#offsetMs()
    this.#offsetsMs.set(uid, offsetMs)
    const [oldest] = this.#offsetsMs.keys()
    if (oldest !== undefined && this.#offsetsMs.size > rememberedPods) this.#offsetsMs.delete(oldest)
    return offsetMs
  }

  #offsetMs(): number {
    return this.#clock.wallMs() - this.#clock.monotonicMs()
  }

  #tell(): void {
    const offsetMs = this.#offsetMs()
    const byMs = Math.round(offsetMs - this.#lastOffsetMs)
    if (Math.abs(byMs) < noticedMs) return
    this.#lastOffsetMs = offsetMs
    this.#log.warn({ byMs }, 'the wall clock was set: Pods that run go on being billed as if it were not')
  }
}
