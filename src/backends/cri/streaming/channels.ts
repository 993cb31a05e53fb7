import { Duplex, Writable } from 'node:stream'
import type { RawData, WebSocket } from 'ws'

/** How a message says which channel it is of: by its first byte, or by that character after `0` before base64 in a text. */
export type ChannelCoding = 'binary' | 'base64'

const zero = 0x30

/**
 * Kubernetes' channels on one WebSocket: each message belongs to the channel that its first byte names. There is no word
 * for the end of one; the connection's is that of all.
 */
export class Channels {
  readonly #webSocket: WebSocket
  readonly #coding: ChannelCoding
  readonly #inputs = new Map<number, Duplex>()

  constructor(webSocket: WebSocket, coding: ChannelCoding) {
    this.#webSocket = webSocket
    this.#coding = coding
    webSocket.on('message', (message) => this.#take(message))
    webSocket.on('close', () => {
      for (const input of this.#inputs.values()) input.destroy()
    })
  }

  /** Both ways. Whoever reads too slowly stops the whole connection, as there is one for all. */
  duplex(channel: number): Duplex {
    const input = new Duplex({
      read: () => this.#webSocket.resume(),
      write: (chunk: Buffer, _encoding, done) => this.#send(channel, chunk, done),
    })
    input.on('error', () => undefined)
    this.#inputs.set(channel, input)
    return input
  }

  /** To the client alone; what it says there is passed over. */
  output(channel: number): Writable {
    const output = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#send(channel, chunk, done),
    })
    return output.on('error', () => undefined)
  }

  #send(channel: number, chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.#coding === 'binary') {
      this.#webSocket.send(Buffer.concat([Buffer.from([channel]), chunk]), { binary: true }, done)
    } else {
      const text = String.fromCharCode(zero + channel) + chunk.toString('base64')
      this.#webSocket.send(text, { binary: false }, done)
    }
  }

  #take(message: RawData): void {
    // In one piece, since that is what the WebSocket was asked for.
    const bytes = message as Buffer
    const [first = 0] = bytes
    const rest = bytes.subarray(1)
    const isBinary = this.#coding === 'binary'
    const input = this.#inputs.get(isBinary ? first : first - zero)
    const body = isBinary ? rest : Buffer.from(rest.toString('latin1'), 'base64')
    if (body.length === 0 || input === undefined || input.destroyed) return
    if (!input.push(body)) this.#webSocket.pause()
  }
}
