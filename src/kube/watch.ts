import { SpillwayError } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { WatchEvent } from './api.ts'
import { statusError, type KubeStatus } from './status-error.ts'

/** Lines of a byte stream, without their ends. What follows the last line end comes as `rest`. */
export class LineSplitter {
  // Decodes across chunks: a chunk may end inside a character.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  /** Pieces of the line that is still open. Joined once: an object of 1 MiB comes in dozens of chunks. */
  #open: string[] = []

  push(chunk: Uint8Array): string[] {
    const pieces = this.#decoder.decode(chunk, { stream: true }).split('\n')
    const last = pieces.pop() ?? ''
    const lines: string[] = []
    for (const piece of pieces) {
      this.#open.push(piece)
      lines.push(this.#open.join(''))
      this.#open = []
    }
    if (last !== '') this.#open.push(last)
    return lines
  }

  get rest(): string {
    return this.#open.join('')
  }
}

/**
 * One line of a watch. Rejections come as events inside a stream that began with 200; they are thrown: Expired for
 * 410, else what the status says. `request` names the watch in messages.
 */
export function decodeWatchEvent<T extends KubeObject>(line: string, request: string): WatchEvent<T> {
  const { type, object } = parseLine(line, request)
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: object as T }
    case 'BOOKMARK': {
      const resourceVersion = (object as KubeObject).metadata?.resourceVersion
      if (!resourceVersion) throw broken(request, 'a bookmark without metadata.resourceVersion')
      return { type, resourceVersion }
    }
    case 'ERROR': {
      const status = object as KubeStatus
      throw statusError({ request, statusCode: status.code ?? 500, status })
    }
    default:
      throw broken(request, `an event of the unknown type ${JSON.stringify(type)}`)
  }
}

function parseLine(line: string, request: string): { type: unknown; object: object } {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch (error) {
    throw broken(request, 'a line that is not JSON', error)
  }
  const event = parsed as { type?: unknown; object?: unknown } | null
  if (typeof event?.object !== 'object' || event.object === null) {
    throw broken(request, 'an event without an object')
  }
  return { type: event.type, object: event.object }
}

/** The events of a response body. A body that ends inside a line was cut off: Unavailable. */
export async function* readWatchEvents<T extends KubeObject>(
  chunks: AsyncIterable<Uint8Array>,
  request: string,
): AsyncGenerator<WatchEvent<T>> {
  const splitter = new LineSplitter()
  for await (const chunk of chunks) {
    for (const line of splitter.push(chunk)) {
      if (line !== '') yield decodeWatchEvent<T>(line, request)
    }
  }
  if (splitter.rest !== '') throw broken(request, 'an event cut off in the middle')
}

function broken(request: string, what: string, cause?: unknown): SpillwayError {
  return new SpillwayError('Unavailable', `${request}: the API server sent ${what}`, { cause })
}
