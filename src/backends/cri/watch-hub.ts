import type { PodUid } from '../../model/pod-key.ts'
import type { BackendEvent } from '../backend.ts'

/**
 * Hands events to every open watch. One that is read slowly gets the latest observation of each Pod instead of all of
 * them, at the place of the first; happenings are kept.
 */
export class WatchHub {
  readonly #readers = new Set<Reader>()

  publish(event: BackendEvent): void {
    for (const reader of this.#readers) reader.push(event)
  }

  /** Opened before the snapshot is made, so that nothing falls between the two. */
  open(): Reader {
    const reader = new Reader(() => this.#readers.delete(reader))
    this.#readers.add(reader)
    return reader
  }

  /** Ends every watch with this error. */
  end(error: Error): void {
    for (const reader of this.#readers) reader.fail(error)
  }
}

export class Reader {
  readonly #events: BackendEvent[] = []
  readonly #close: () => void
  #wake: (() => void) | undefined
  #error: Error | undefined

  constructor(close: () => void) {
    this.#close = close
  }

  push(event: BackendEvent): void {
    const place = event.kind === 'observed' ? this.#placeOf(event.pod.uid) : -1
    if (place >= 0 && this.#events[place]?.kind === 'observed') this.#events[place] = event
    else this.#events.push(event)
    this.#wake?.()
  }

  fail(error: Error): void {
    this.#error = error
    this.#wake?.()
  }

  async *read(signal: AbortSignal): AsyncGenerator<BackendEvent> {
    const abort = (): void => this.#wake?.()
    signal.addEventListener('abort', abort)
    try {
      for (;;) {
        signal.throwIfAborted()
        if (this.#error) throw this.#error
        const event = this.#events.shift()
        if (event) yield event
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', abort)
      this.#close()
    }
  }

  #placeOf(uid: PodUid): number {
    return this.#events.findLastIndex((event) => {
      if (event.kind === 'gone') return event.uid === uid
      return event.kind === 'observed' && event.pod.uid === uid
    })
  }
}
