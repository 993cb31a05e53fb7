import type { Backend, BackendHealth } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage } from '../model/errors.ts'

export const healthPollMs = 1_000

/** Together with the poll less than the 2 s within which a loss must show; a backend that answers later is lost. */
const healthTimeoutMs = 800

export interface BackendState {
  readonly health: BackendHealth
  /** Monotonic: since when the runtime has not answered; undefined while it does. */
  readonly lostSinceMs: number | undefined
}

/** Follows a backend's health. A hung check counts as a lost runtime, for as long as it hangs. */
export class BackendWatch {
  readonly #backend: Pick<Backend, 'health'>
  readonly #clock: Clock
  #state: BackendState | undefined
  readonly #listeners = new Set<() => void>()

  constructor({ backend, clock }: { backend: Pick<Backend, 'health'>; clock: Clock }) {
    this.#backend = backend
    this.#clock = clock
  }

  /** Undefined until the first answer, or the first time-out. */
  get state(): BackendState | undefined {
    return this.#state
  }

  /** Calls back after each check. Returns the end of the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Checks every second until the signal is aborted, then resolves. One watch serves all nodes of a backend. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = this.#clock.monotonicMs()
      const health = await this.#check(signal)
      if (signal.aborted) return
      this.#state = nextState(this.#state, health, this.#clock.monotonicMs())
      for (const listener of this.#listeners) listener()
      try {
        await this.#clock.sleep(startedMs + healthPollMs - this.#clock.monotonicMs(), signal)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  async #check(signal: AbortSignal): Promise<BackendHealth> {
    const { promise: late, resolve } = Promise.withResolvers<BackendHealth>()
    const inner = new AbortController()
    const onAbort = (): void => inner.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const cancelTimer = this.#clock.timer(healthTimeoutMs, () => {
      const message = `no answer within ${healthTimeoutMs} ms`
      resolve(this.#unanswered('BackendTimeout', message))
      inner.abort(new Error(message))
    })
    try {
      return await Promise.race([this.#backend.health(inner.signal), late])
    } catch (error) {
      // The contract says that `health` never rejects; one that does is as good as lost.
      return this.#unanswered('BackendFailing', errorMessage(error))
    } finally {
      cancelTimer()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Of disk, network and the rest nothing new is known: they stay as they were last seen. */
  #unanswered(reason: string, message: string): BackendHealth {
    const unknown = { ok: true, reason: 'NotChecked', message: 'not checked yet' }
    const last = this.#state?.health ?? {
      disk: unknown,
      network: unknown,
      memory: unknown,
      pids: unknown,
      runtimeVersion: 'unknown://0',
    }
    return { ...last, runtime: { ok: false, reason, message } }
  }
}

function nextState(before: BackendState | undefined, health: BackendHealth, nowMs: number): BackendState {
  return { health, lostSinceMs: health.runtime.ok ? undefined : (before?.lostSinceMs ?? nowMs) }
}
