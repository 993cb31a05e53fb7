/** A map that forgets what was not used for longest. */
export class RecentMap<V> {
  readonly #limit: number
  readonly #entries = new Map<string, V>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }

  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#limit) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}

export interface Bucket {
  readonly tokens: number
  readonly atMs: number
}

// client-go's events_cache.go: 25 at once about one object, then one in 5 minutes.
const burst = 25
const refillMs = 300_000

/** The bucket after one more event, or undefined when there is none to spend. Times are monotonic. */
export function takeToken(bucket: Bucket | undefined, nowMs: number): Bucket | undefined {
  const grown = bucket ? Math.min(bucket.tokens + (nowMs - bucket.atMs) / refillMs, burst) : burst
  return grown < 1 ? undefined : { tokens: grown - 1, atMs: nowMs }
}
