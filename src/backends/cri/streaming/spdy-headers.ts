import { once } from 'node:events'
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'
import { SpillwayError } from '../../../model/errors.ts'
import { spdyDictionary } from './spdy-dictionary.ts'

const longestBytes = 16 * 1024

/** Header blocks of one connection: each side's are one compressed stream, so they have to be read in their order. */
export class SpdyHeaders {
  readonly #inflate: Inflate
  readonly #deflate: Deflate

  constructor() {
    const dictionary = spdyDictionary()
    this.#inflate = createInflate({ dictionary })
    this.#deflate = createDeflate({ dictionary })
    // What is broken is told to whoever reads.
    this.#inflate.on('error', () => undefined)
  }

  /** By lower-case name. Rejected: what is no header block. */
  async read(block: Buffer): Promise<ReadonlyMap<string, string>> {
    if (block.length > longestBytes) throw broken(`${block.length} bytes of headers`)
    const plain = await through(this.#inflate, block)
    if (plain.length > longestBytes) throw broken(`${plain.length} bytes of headers`)
    return parse(plain)
  }

  /** An empty one. */
  async writeNone(): Promise<Buffer> {
    return await through(this.#deflate, Buffer.alloc(4))
  }

  close(): void {
    this.#inflate.destroy()
    this.#deflate.destroy()
  }
}

async function through(codec: Inflate | Deflate, input: Buffer): Promise<Buffer> {
  const failed = new AbortController()
  const error = once(codec, 'error', { signal: failed.signal }).then(([cause]) => {
    throw new SpillwayError('Rejected', 'port-forward: headers that cannot be read', { cause })
  })
  const done = new Promise<void>((resolve) => {
    codec.write(input, () => codec.flush(constants.Z_SYNC_FLUSH, resolve))
  })
  try {
    await Promise.race([done, error])
  } finally {
    failed.abort()
    error.catch(() => undefined)
  }
  const parts: Buffer[] = []
  for (let part = codec.read() as Buffer | null; part !== null; part = codec.read() as Buffer | null)
    parts.push(part)
  return Buffer.concat(parts)
}

function parse(plain: Buffer): ReadonlyMap<string, string> {
  let at = 0
  const number = (): number => {
    if (at + 4 > plain.length) throw broken('headers that end too soon')
    at += 4
    return plain.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const length = number()
    if (at + length > plain.length) throw broken('headers that end too soon')
    at += length
    return plain.toString('latin1', at - length, at)
  }
  const headers = new Map<string, string>()
  for (let left = number(); left > 0; left--) headers.set(text().toLowerCase(), text())
  return headers
}

function broken(what: string): SpillwayError {
  return new SpillwayError(
    'Rejected',
    `port-forward: found ${what}; allowed: a header block of at most ${longestBytes} bytes`,
  )
}
