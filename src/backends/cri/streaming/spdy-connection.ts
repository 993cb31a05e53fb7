import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { dataFrame, pingFrame, resetFrame, SpdyFrames, synReplyFrame, type SpdyFrame } from './spdy-frames.ts'
import { SpdyHeaders } from './spdy-headers.ts'

/** One stream of a connection. Its end is a half-close; destroying it with an error resets it. */
export class SpdyStream extends Duplex {
  readonly id: number
  readonly headers: ReadonlyMap<string, string>
  readonly #send: (frame: Buffer) => Promise<void>
  #room: (() => void) | undefined
  #isReset = false

  constructor(id: number, headers: ReadonlyMap<string, string>, send: (frame: Buffer) => Promise<void>) {
    super({ allowHalfOpen: true })
    this.id = id
    this.headers = headers
    this.#send = send
  }

  /** Resolves when there is room for more. */
  async receive(data: Buffer, { fin }: { readonly fin: boolean }): Promise<void> {
    if (this.destroyed) return
    const hasRoom = data.length === 0 || this.push(data)
    if (fin) this.push(null)
    if (!hasRoom && !fin) await new Promise<void>((resolve) => (this.#room = resolve))
  }

  /** By the other side. */
  wasReset(): void {
    this.#isReset = true
    this.destroy()
  }

  override _read(): void {
    this.#room?.()
    this.#room = undefined
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    this.#send(dataFrame(this.id, chunk, { fin: false })).then(() => callback(), callback)
  }

  override _final(callback: (error?: Error) => void): void {
    this.#send(dataFrame(this.id, Buffer.alloc(0), { fin: true })).then(() => callback(), callback)
  }

  #reset(): void {
    this.#send(resetFrame(this.id)).catch(() => undefined)
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this._read()
    if (error && !this.#isReset) this.#reset()
    callback(null)
  }
}

/**
 * The server's side of SPDY/3.1 on a connection that has changed protocol; clients open the streams. Nothing is said of
 * windows, as with spdystream, which is what kubectl and the API server speak: who reads slowly holds up the connection.
 * Resolves when it is over, with all of its streams.
 */
export async function serveSpdy(
  socket: Duplex,
  head: Buffer,
  onStream: (stream: SpdyStream) => void,
): Promise<void> {
  const connection = new SpdyConnection(socket, onStream)
  try {
    await connection.serve(head)
  } finally {
    connection.close()
  }
}

class SpdyConnection {
  readonly #socket: Duplex
  readonly #onStream: (stream: SpdyStream) => void
  readonly #headers = new SpdyHeaders()
  readonly #streams = new Map<number, SpdyStream>()

  constructor(socket: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#socket = socket
    this.#onStream = onStream
  }

  async serve(head: Buffer): Promise<void> {
    const frames = new SpdyFrames()
    for (const frame of frames.push(head)) await this.#take(frame)
    for await (const chunk of this.#socket) {
      for (const frame of frames.push(chunk as Buffer)) {
        if (frame.kind === 'goAway') return
        await this.#take(frame)
      }
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.wasReset()
    this.#headers.close()
    this.#socket.destroy()
  }

  async #take(frame: SpdyFrame): Promise<void> {
    switch (frame.kind) {
      case 'synStream':
        return await this.#open(frame)
      case 'data':
        return await this.#streams.get(frame.streamId)?.receive(frame.data, frame)
      case 'reset':
        this.#streams.get(frame.streamId)?.wasReset()
        return
      case 'ping':
        return await this.#send(pingFrame(frame.id))
      case 'goAway':
      case 'other':
    }
  }

  async #open({ streamId, fin, headers }: SpdyFrame & { readonly kind: 'synStream' }): Promise<void> {
    const stream = new SpdyStream(streamId, await this.#headers.read(headers), (frame) => this.#send(frame))
    this.#streams.set(streamId, stream)
    stream.once('close', () => this.#streams.delete(streamId))
    await this.#send(synReplyFrame(streamId, await this.#headers.writeNone()))
    if (fin) await stream.receive(Buffer.alloc(0), { fin })
    this.#onStream(stream)
  }

  async #send(frame: Buffer): Promise<void> {
    if (this.#socket.destroyed || this.#socket.writableEnded) throw new Error('the connection is over')
    if (!this.#socket.write(frame))
      await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')])
  }
}
