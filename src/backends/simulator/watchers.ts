import type { BackendEvent } from '../backend.ts'

/** Hands each event to every watch that is open. A watch that is read slowly keeps its events; none is dropped. */
export class Watchers {
  readonly #open = new Set<Watch>()

  emit(event: BackendEvent): void {
    for (const watch of this.#open) watch.push(event)
  }

  /** The snapshot, then what is emitted from now on, until the signal or `end`. */
  async *events(snapshot: readonly BackendEvent[], signal: AbortSignal): AsyncGenerator<BackendEvent> {
    signal.throwIfAborted()
    const watch = new Watch(snapshot)
    const abort = (): void => watch.end(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    this.#open.add(watch)
    try {
      while (true) yield await watch.next()
    } finally {
      this.#open.delete(watch)
      signal.removeEventListener('abort', abort)
    }
  }

  /** Ends every watch with this error. */
  end(error: unknown): void {
    for (const watch of this.#open) watch.end(error)
  }
}

class Watch {
  readonly #queue: BackendEvent[]
  #wake: (() => void) | undefined
  #error: { readonly reason: unknown } | undefined

  constructor(snapshot: readonly BackendEvent[]) {
    this.#queue = [...snapshot]
  }

  push(event: BackendEvent): void {
    this.#queue.push(event)
    this.#wake?.()
  }

  end(reason: unknown): void {
    this.#error ??= { reason }
    this.#wake?.()
  }

  async next(): Promise<BackendEvent> {
    while (true) {
      if (this.#error) throw this.#error.reason
      const event = this.#queue.shift()
      if (event) return event
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
