import type { Clock } from '../model/clock.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'

// The first status waits: when the container is up by then, "ContainerCreating" and "Running" are one write. In gVisor that takes
// more than half a second, of which a write in the middle is a part.
const firstReportDelayMs = 1_000
// One that is on its way is told of this often: "the sandbox is ready" alone is not worth a write.
const quickReportEveryMs = 2_000

/** How often the status of a Pod is written that is on its way and has nothing special to say. */
export class ReportPace {
  readonly #clock: Clock
  readonly #acceptedAtMs = new Map<PodUid, number>()
  /** Wall time of the last write about a Pod that was on its way. */
  readonly #toldAtMs = new Map<PodUid, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  accepted(uid: PodUid): void {
    if (!this.#acceptedAtMs.has(uid)) this.#acceptedAtMs.set(uid, this.#clock.wallMs())
  }

  acceptedAtMs(uid: PodUid): number | undefined {
    return this.#acceptedAtMs.get(uid)
  }

  /** How long the next report has to wait: 0 when it is to be made now, and then it counts as made. */
  waitMs(uid: PodUid, observed: PodObservation | undefined): number {
    if (!isStillQuick(observed)) return 0
    const nowMs = this.#clock.wallMs()
    const toldMs = this.#toldAtMs.get(uid)
    const dueMs =
      toldMs === undefined
        ? (this.#acceptedAtMs.get(uid) ?? 0) + firstReportDelayMs
        : toldMs + quickReportEveryMs
    if (dueMs > nowMs) return dueMs - nowMs
    this.#toldAtMs.set(uid, nowMs)
    return 0
  }

  settled(uid: PodUid): void {
    this.#acceptedAtMs.delete(uid)
    this.#toldAtMs.delete(uid)
  }
}

/** Nothing worth a write of its own yet: on the way, without trouble, and no container has ended. */
function isStillQuick(observed: PodObservation | undefined): boolean {
  if (!observed) return true
  return (
    observed.phase === 'starting' &&
    observed.trouble === undefined &&
    observed.containers.every(({ state }) => state.kind === 'waiting' && !/BackOff|Err/.test(state.reason))
  )
}
