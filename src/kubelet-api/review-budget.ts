import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'

export interface ReviewLimits {
  /** Of refused tokens that a peer may bring at once, and how many more each second. */
  readonly burst: number
  readonly perSecond: number
  readonly mostUnderWay: number
  readonly mostPeers: number
}

/**
 * A made-up token costs its maker nothing and the API server a review each (kubelet asks as often as it is told to).
 * A peer that makes honest mistakes, a rotated token in each of its scrapers, stays far below; reviews that find
 * somebody are not counted at all. 32 under way are what one connection of HTTP/2 takes without queueing for long.
 */
export const reviewLimits: ReviewLimits = { burst: 20, perSecond: 2, mostUnderWay: 32, mostPeers: 1024 }

interface Bucket {
  left: number
  atMs: number
}

/** How many tokens of strangers the API server is asked about. */
export class ReviewBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #limits: ReviewLimits
  /** The longest unused first. */
  readonly #buckets = new Map<string, Bucket>()
  #underWay = 0

  constructor({
    clock,
    limits = reviewLimits,
  }: {
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly limits?: ReviewLimits
  }) {
    this.#clock = clock
    this.#limits = limits
  }

  /**
   * Asks, and counts it unless somebody was found. Throws at once, Busy, when that is one too many: before there is a
   * promise, so that a cache need not make room for the question.
   */
  ask<T>(peer: string, review: () => Promise<T | undefined>): Promise<T | undefined> {
    const bucket = this.#bucketOf(peer)
    if (bucket.left < 1) throw tooMany(`of unknown tokens from ${peer}`, 1000 / this.#limits.perSecond)
    if (this.#underWay >= this.#limits.mostUnderWay) throw tooMany('of tokens under way', 1000)
    bucket.left -= 1
    return this.#follow(bucket, review)
  }

  async #follow<T>(bucket: Bucket, review: () => Promise<T | undefined>): Promise<T | undefined> {
    this.#underWay += 1
    try {
      const found = await review()
      if (found !== undefined) bucket.left = Math.min(bucket.left + 1, this.#limits.burst)
      return found
    } finally {
      this.#underWay -= 1
    }
  }

  #bucketOf(peer: string): Bucket {
    const { burst, perSecond, mostPeers } = this.#limits
    const nowMs = this.#clock.monotonicMs()
    const bucket = this.#buckets.get(peer) ?? { left: burst, atMs: nowMs }
    bucket.left = Math.min(bucket.left + ((nowMs - bucket.atMs) / 1000) * perSecond, burst)
    bucket.atMs = nowMs
    this.#buckets.delete(peer)
    this.#buckets.set(peer, bucket)
    const longestUnused = this.#buckets.keys().next().value
    if (this.#buckets.size > mostPeers && longestUnused !== undefined) this.#buckets.delete(longestUnused)
    return bucket
  }
}

function tooMany(what: string, afterMs: number): SpillwayError {
  return new SpillwayError('Busy', `too many reviews ${what}; try again later`, { afterMs })
}
