import type { Clock } from '../../../model/clock.ts'
import type { BoundToken, PodSources, TokenRequest } from '../../backend.ts'

const longestUseMs = 24 * 60 * 60 * 1000
const longestJitterMs = 10_000

interface HeldToken extends BoundToken {
  readonly dueAtMs: number
}

/**
 * The tokens of one Pod, kept until they are due for replacement: after 80 % of their life, or a day, and up to
 * 10 s earlier, so that Pods which were made together do not ask together (kubelet's token manager). They are not kept
 * over a restart of the process; a fresh one costs one request.
 */
export class ServiceAccountTokens {
  readonly #sources: PodSources
  readonly #clock: Clock
  readonly #random: () => number
  readonly #held = new Map<string, HeldToken>()

  /** `random` in [0, 1). */
  constructor(sources: PodSources, clock: Clock, random: () => number) {
    this.#sources = sources
    this.#clock = clock
    this.#random = random
  }

  /** A valid token. When no new one can be had, the old one as long as it lives. */
  async current(request: TokenRequest, signal: AbortSignal): Promise<string> {
    const key = `${request.expirationSeconds} ${request.audience}`
    const held = this.#held.get(key)
    const nowMs = this.#clock.wallMs()
    if (held && nowMs < held.dueAtMs) return held.token
    try {
      const bound = await this.#sources.serviceAccountToken(request, signal)
      const lifeMs = bound.expiresAtMs - nowMs
      const jitterMs = this.#random() * longestJitterMs
      this.#held.set(key, { ...bound, dueAtMs: nowMs + Math.min(lifeMs * 0.8, longestUseMs) - jitterMs })
      return bound.token
    } catch (error) {
      if (!held || signal.aborted || this.#clock.wallMs() >= held.expiresAtMs) throw error
      return held.token
    }
  }

  /** Wall time at which the next token is due; undefined when none is held. */
  get dueAtMs(): number | undefined {
    const times = [...this.#held.values()].map((held) => held.dueAtMs)
    return times.length === 0 ? undefined : Math.min(...times)
  }
}
