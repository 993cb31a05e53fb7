import type { Clock } from '../../../model/clock.ts'

interface Backoff {
  readonly delayMs: number
  readonly untilMs: number
  readonly lastError: string
}

const firstMs = 10_000
const longestMs = 300_000

/** How long a Pod waits between pulls of an image that fail: kubelet's 10 s, doubling to 5 min. */
export class PullBackoff {
  readonly #clock: Clock
  readonly #byPod = new Map<string, Map<string, Backoff>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Undefined when the Pod may pull now. */
  waiting(uid: string, image: string): { readonly leftMs: number; readonly lastError: string } | undefined {
    const backoff = this.#byPod.get(uid)?.get(image)
    if (!backoff) return undefined
    const leftMs = backoff.untilMs - this.#clock.monotonicMs()
    return leftMs > 0 ? { leftMs, lastError: backoff.lastError } : undefined
  }

  /** Answers with the delay until the next pull, in milliseconds. */
  failed(uid: string, image: string, error: string): number {
    const ofPod = this.#byPod.get(uid) ?? new Map<string, Backoff>()
    this.#byPod.set(uid, ofPod)
    const before = ofPod.get(image)?.delayMs
    const delayMs = before === undefined ? firstMs : Math.min(before * 2, longestMs)
    ofPod.set(image, { delayMs, untilMs: this.#clock.monotonicMs() + delayMs, lastError: error })
    return delayMs
  }

  succeeded(uid: string, image: string): void {
    this.#byPod.get(uid)?.delete(image)
  }

  /** The Pod is gone. */
  forget(uid: string): void {
    this.#byPod.delete(uid)
  }
}
