import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../../model/clock.ts'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import { forwardFailure, type ForwardTarget } from './forward-target.ts'
import { serveSpdy, type SpdyStream } from './spdy-connection.ts'
import { forwardByWebSocket, refusedWebSocket } from './web-socket-forward.ts'

export interface PortForwarderOptions {
  readonly clock: Clock
}

const protocol = 'portforward.k8s.io'
// As of CRI's own streaming server.
const tokenMs = 60_000
const pairMs = 30_000

/**
 * Port-forward for sandboxes whose network the runtime cannot enter: it looks for the port in a network namespace, and
 * gVisor's stack is inside of its own process. So the Pod's address is dialled, as its neighbours do. Hands out an
 * address of its own with a token that is good once and for a minute, as the runtime does.
 */
export class PortForwarder {
  readonly #options: PortForwarderOptions
  readonly #targets = new Map<string, { readonly target: ForwardTarget; readonly cancel: () => void }>()
  readonly #open = new Set<Duplex>()
  #server: Promise<Server> | undefined

  constructor(options: PortForwarderOptions) {
    this.#options = options
  }

  /** Where to connect to for one port-forward. */
  async url(target: ForwardTarget): Promise<string> {
    this.#server ??= this.#listen()
    const { port } = (await this.#server).address() as AddressInfo
    const token = randomBytes(16).toString('hex')
    const cancel = this.#options.clock.timer(tokenMs, () => this.#targets.delete(token))
    this.#targets.set(token, { target, cancel })
    return `http://127.0.0.1:${port}/portforward/${token}`
  }

  async close(): Promise<void> {
    for (const { cancel } of this.#targets.values()) cancel()
    this.#targets.clear()
    for (const socket of this.#open) socket.destroy()
    const server = await this.#server?.catch(() => undefined)
    server?.close()
  }

  #listen(): Promise<Server> {
    const server = createServer((_request, response) => {
      response
        .writeHead(400, { connection: 'close' })
        .end('an upgrade to SPDY/3.1 or WebSocket is wanted here\n')
    })
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    const { promise, resolve, reject } = Promise.withResolvers<Server>()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
    server.unref()
    return promise
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => undefined)
    const token = request.url?.replace(/^.*\//, '').replace(/\?.*$/, '') ?? ''
    const known = this.#targets.get(token)
    this.#targets.delete(token)
    known?.cancel()
    const refuse = (status: string): void =>
      void socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    if (!known) return refuse('404 Not Found')
    const wanted = request.headers.upgrade?.toLowerCase()
    if (wanted === 'websocket') {
      const refused = refusedWebSocket(request, known.target)
      if (refused !== undefined) return refuse(refused)
      this.#opened(socket)
      forwardByWebSocket({ request, socket, head }, known.target).catch(() => socket.destroy())
      return
    }
    if (wanted !== 'spdy/3.1') return refuse('400 Bad Request')
    if (!protocolsOf(request).includes(protocol)) return refuse('403 Forbidden')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
    )
    this.#opened(socket)
    const pairs = new StreamPairs(known.target, this.#options)
    serveSpdy(socket, head, (stream) => pairs.add(stream))
      .catch(() => undefined)
      .finally(() => pairs.close())
  }

  #opened(socket: Duplex): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
  }
}

/** None is said by clients of old, who speak this one. */
function protocolsOf({ headers }: IncomingMessage): readonly string[] {
  const said = headers['x-stream-protocol-version']
  if (said === undefined) return [protocol]
  return String(said)
    .split(',')
    .map((one) => one.trim())
}

interface Pair {
  readonly streams: Map<'error' | 'data', SpdyStream>
  readonly cancel: () => void
}

/** Each connection that a client forwards is two streams: one for the bytes, one for what went wrong. */
class StreamPairs {
  readonly #target: ForwardTarget
  readonly #clock: Clock
  readonly #pairs = new Map<string, Pair>()

  constructor(target: ForwardTarget, { clock }: PortForwarderOptions) {
    this.#target = target
    this.#clock = clock
  }

  add(stream: SpdyStream): void {
    stream.on('error', () => undefined)
    const type = stream.headers.get('streamtype')
    const port = Number(stream.headers.get('port'))
    if ((type !== 'error' && type !== 'data') || !(port > 0 && port < 65_536)) {
      stream.destroy(new Error('a stream of no type, or for no port'))
      return
    }
    const id = requestIdOf(stream, type)
    const pair = this.#pairs.get(id) ?? this.#begin(id)
    pair.streams.set(type, stream)
    const [data, error] = [pair.streams.get('data'), pair.streams.get('error')]
    if (!data || !error) return
    this.#end(id, pair)
    void this.#forward(port, data, error)
  }

  close(): void {
    for (const [id, pair] of this.#pairs) this.#end(id, pair)
  }

  #begin(id: string): Pair {
    const giveUp = (): void => {
      this.#pairs.delete(id)
      for (const stream of pair.streams.values()) stream.destroy(new Error('the other stream never came'))
    }
    const pair: Pair = { streams: new Map(), cancel: this.#clock.timer(pairMs, giveUp) }
    this.#pairs.set(id, pair)
    return pair
  }

  #end(id: string, pair: Pair): void {
    pair.cancel()
    this.#pairs.delete(id)
  }

  async #forward(port: number, data: SpdyStream, error: SpdyStream): Promise<void> {
    // Nothing comes on it but its end.
    error.resume()
    const target = this.#target
    try {
      const socket = connect({ host: target.address, port, allowHalfOpen: true, noDelay: true })
      await Promise.all([pipeline(data, socket), pipeline(socket, data)])
      error.end()
    } catch (cause) {
      if (error.destroyed) return
      error.write(forwardFailure(cause, { port, target }))
      const failed = new SpillwayError('Unavailable', errorMessage(cause), { cause })
      data.destroy(failed)
      error.end(() => error.destroy())
    }
  }
}

/** Clients of old say none: then the data stream is the next that they open. */
function requestIdOf({ id, headers }: SpdyStream, type: 'error' | 'data'): string {
  return headers.get('requestid') ?? `stream ${type === 'error' ? id : id - 2}`
}
