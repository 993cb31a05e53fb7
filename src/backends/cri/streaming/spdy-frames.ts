import { SpillwayError } from '../../../model/errors.ts'

/** Of SPDY/3.1, what port-forward needs; others are passed over, as they may be. */
export type SpdyFrame =
  | { readonly kind: 'synStream'; readonly streamId: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly kind: 'data'; readonly streamId: number; readonly fin: boolean; readonly data: Buffer }
  | { readonly kind: 'reset'; readonly streamId: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'goAway' }
  | { readonly kind: 'other' }

const types = { synStream: 1, synReply: 2, reset: 3, ping: 6, goAway: 7 } as const
const version = 0x8003
const finFlag = 1
const headBytes = 8
/** Names and values of port-forward's streams are short; data frames of clients are 32 KiB at the most. */
const longestFrameBytes = 1 << 20

/** Cuts a byte stream into frames. */
export class SpdyFrames {
  #rest: Buffer = Buffer.alloc(0)

  /** All frames that are whole with these bytes. Throws Rejected for what is no SPDY/3.1. */
  push(chunk: Buffer): SpdyFrame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: SpdyFrame[] = []
    while (this.#rest.length >= headBytes) {
      const length = this.#rest.readUInt32BE(4) & 0xffffff
      if (length > longestFrameBytes) throw broken(`a frame of ${length} bytes`)
      if (this.#rest.length < headBytes + length) break
      frames.push(
        frameOf(this.#rest.subarray(0, headBytes), this.#rest.subarray(headBytes, headBytes + length)),
      )
      this.#rest = this.#rest.subarray(headBytes + length)
    }
    return frames
  }
}

function frameOf(head: Buffer, body: Buffer): SpdyFrame {
  const first = head.readUInt32BE(0)
  const fin = (head.readUInt8(4) & finFlag) !== 0
  if (first < 0x8000_0000) return { kind: 'data', streamId: first, fin, data: body }
  if (first >>> 16 !== version) throw broken(`version ${(first >>> 16) & 0x7fff}`)
  switch (first & 0xffff) {
    case types.synStream:
      // Behind the stream: the one that it belongs to, and a priority.
      return { kind: 'synStream', streamId: idIn(body, 10), fin, headers: body.subarray(10) }
    case types.reset:
      return { kind: 'reset', streamId: idIn(body, 8) }
    case types.ping:
      return { kind: 'ping', id: idIn(body, 4) }
    case types.goAway:
      return { kind: 'goAway' }
    default:
      return { kind: 'other' }
  }
}

function idIn(body: Buffer, leastBytes: number): number {
  if (body.length < leastBytes) throw broken(`a frame of ${body.length} bytes, which is too short`)
  return body.readUInt32BE(0)
}

function broken(what: string): SpillwayError {
  return new SpillwayError('Rejected', `port-forward: found ${what}; allowed: SPDY/3.1`)
}

export function dataFrame(streamId: number, data: Buffer, { fin }: { readonly fin: boolean }): Buffer {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(streamId, 0)
  head.writeUInt32BE(data.length, 4)
  if (fin) head.writeUInt8(finFlag, 4)
  return Buffer.concat([head, data])
}

/** `headers`: compressed. */
export function synReplyFrame(streamId: number, headers: Buffer): Buffer {
  return controlFrame('synReply', [streamId], headers)
}

/** CANCEL. */
export function resetFrame(streamId: number): Buffer {
  return controlFrame('reset', [streamId, 5])
}

export function pingFrame(id: number): Buffer {
  return controlFrame('ping', [id])
}

function controlFrame(
  kind: keyof typeof types,
  words: readonly number[],
  rest: Buffer = Buffer.alloc(0),
): Buffer {
  const frame = Buffer.alloc(headBytes + 4 * words.length)
  frame.writeUInt16BE(version, 0)
  frame.writeUInt16BE(types[kind], 2)
  frame.writeUInt32BE(4 * words.length + rest.length, 4)
  words.forEach((word, index) => frame.writeUInt32BE(word, headBytes + 4 * index))
  return Buffer.concat([frame, rest])
}
