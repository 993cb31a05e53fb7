import { ContainerStop, type StopWish } from './container-stop.ts'
import type { SeenContainer } from './observe.ts'
import type { PodHandle } from './pod-context.ts'

/** The containers of one Pod that are being ended. Whoever wants one ended that is already joins in. */
export class Stops {
  readonly #byId = new Map<string, ContainerStop>()

  /** Resolves when the container has ended. A wish for one that is being ended can only shorten its grace. */
  async stop(
    handle: PodHandle,
    { seen, ...wish }: StopWish & { readonly seen: SeenContainer },
    signal: AbortSignal,
  ): Promise<void> {
    const { id } = seen.status
    const known = this.#byId.get(id)
    if (known) {
      known.hurry(wish.deadlineMs)
      return await known.done
    }
    const stop = new ContainerStop(handle, seen, wish, signal)
    this.#byId.set(id, stop)
    try {
      await stop.done
    } finally {
      this.#byId.delete(id)
    }
  }

  /** No grace lasts longer than that any more. */
  hurry(deadlineMs: number): void {
    for (const stop of this.#byId.values()) stop.hurry(deadlineMs)
  }
}
