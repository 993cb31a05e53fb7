import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { createDeflate, createInflate, constants } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PortForwarder } from '../../../../src/backends/cri/streaming/port-forwarder.ts'
import { spdyDictionary } from '../../../../src/backends/cri/streaming/spdy-dictionary.ts'
import { systemClock } from '../../../../src/model/clock.ts'

let forwarder: PortForwarder
let echo: Server

beforeEach(async () => {
  forwarder = new PortForwarder({ clock: systemClock })
  // Says back what it was told once it has been told all.
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    const parts: Buffer[] = []
    socket.on('data', (part: Buffer) => parts.push(part))
    socket.on('end', () => socket.end(Buffer.concat(parts)))
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
})

afterEach(async () => {
  await forwarder.close()
  echo.close()
})

const portOf = (server: Server): number => (server.address() as AddressInfo).port

async function url(ports: readonly number[] = []): Promise<string> {
  return await forwarder.url({ address: '127.0.0.1', name: 'web', uid: 'u1', ports })
}

/** kubectl's side, written from the definition of SPDY/3.1 and from client-go's portforward.go. */
class Client {
  readonly status: number
  readonly #socket: Duplex | undefined
  readonly #deflate = createDeflate({ dictionary: spdyDictionary() })
  readonly #inflate = createInflate({ dictionary: spdyDictionary() })
  readonly frames: { type: number; streamId: number; flags: number; body: Buffer }[] = []
  readonly #waiting: (() => void)[] = []
  #rest: Buffer = Buffer.alloc(0)

  private constructor(status: number, socket: Duplex | undefined) {
    this.status = status
    this.#socket = socket
    socket?.on('error', () => undefined)
    socket?.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      while (this.#rest.length >= 8 && this.#rest.length >= 8 + (this.#rest.readUInt32BE(4) & 0xffffff)) {
        const length = this.#rest.readUInt32BE(4) & 0xffffff
        const first = this.#rest.readUInt32BE(0)
        const body = this.#rest.subarray(8, 8 + length)
        const isControl = first >= 0x80000000
        const type = isControl ? first & 0xffff : 0
        const streamId = isControl ? body.readUInt32BE(0) : first
        this.frames.push({ type, streamId, flags: this.#rest[4] ?? 0, body })
        this.#rest = this.#rest.subarray(8 + length)
      }
      for (const wake of this.#waiting.splice(0)) wake()
    })
    socket?.on('close', () => this.#waiting.splice(0).forEach((wake) => wake()))
  }

  static async open(to: string, headers: Record<string, string> = {}): Promise<Client> {
    const { promise, resolve, reject } = Promise.withResolvers<Client>()
    const upgrade = {
      Connection: 'Upgrade',
      Upgrade: 'SPDY/3.1',
      'X-Stream-Protocol-Version': 'portforward.k8s.io',
    }
    const outgoing = request(to, { method: 'POST', headers: { ...upgrade, ...headers } })
    outgoing.on('upgrade', (answer, socket) => resolve(new Client(answer.statusCode ?? 0, socket)))
    outgoing.on('response', (answer) => resolve(new Client(answer.resume().statusCode ?? 0, undefined)))
    outgoing.on('error', reject)
    outgoing.end()
    return await promise
  }

  async stream(id: number, headers: Record<string, string>, { fin = false } = {}): Promise<void> {
    const text = (value: string) => [number(value.length), Buffer.from(value)]
    const entries = Object.entries(headers)
    const plain = Buffer.concat([
      number(entries.length),
      ...entries.flatMap(([name, value]) => [...text(name), ...text(value)]),
    ])
    await new Promise<void>((done) => {
      this.#deflate.write(plain, () => this.#deflate.flush(constants.Z_SYNC_FLUSH, done))
    })
    const block = this.#deflate.read() as Buffer
    const body = Buffer.concat([number(id), number(0), Buffer.alloc(2), block])
    this.#control(1, fin ? 1 : 0, body)
  }

  data(id: number, text: string, { fin = false } = {}): void {
    const body = Buffer.from(text)
    this.#socket?.write(Buffer.concat([number(id), number(body.length | (fin ? 1 << 24 : 0)), body]))
  }

  ping(id: number): void {
    this.#control(6, 0, number(id))
  }

  write(bytes: Buffer): void {
    this.#socket?.write(bytes)
  }

  #control(type: number, flags: number, body: Buffer): void {
    const head = Buffer.alloc(8)
    head.writeUInt16BE(0x8003, 0)
    head.writeUInt16BE(type, 2)
    head.writeUInt32BE(body.length | (flags << 24), 4)
    this.#socket?.write(Buffer.concat([head, body]))
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((wake) => this.#waiting.push(wake))
  }

  /** What came on the stream, and whether the other side has ended it. */
  got(id: number): { text: string; ended: boolean; reset: boolean } {
    const own = this.frames.filter(({ streamId }) => streamId === id)
    const data = own.filter(({ type }) => type === 0)
    return {
      text: data.map(({ body }) => body.toString()).join(''),
      ended: data.some(({ flags }) => (flags & 1) === 1),
      reset: own.some(({ type }) => type === 3),
    }
  }

  get isClosed(): boolean {
    return this.#socket?.destroyed ?? true
  }

  /** The header block of the reply to a stream, in the plain. */
  async reply(id: number): Promise<Buffer> {
    const frame = this.frames.find(({ type, streamId }) => type === 2 && streamId === id)
    await new Promise<void>((done) => this.#inflate.write(frame?.body.subarray(4), () => done()))
    return this.#inflate.read() as Buffer
  }

  close(): void {
    this.#socket?.destroy()
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

const headersOf = (streamtype: string, port: number, requestid: string) => ({
  streamtype,
  port: String(port),
  requestid,
})

it('compresses with the dictionary of the definition', () => {
  const sum = createHash('sha256').update(spdyDictionary()).digest('hex')
  expect(sum).toBe('51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02')
})

describe('a forwarded connection', () => {
  it('carries bytes both ways, each way with its own end', async () => {
    const client = await Client.open(await url())
    await client.stream(1, headersOf('error', portOf(echo), '0'), { fin: true })
    await client.stream(3, headersOf('data', portOf(echo), '0'))
    client.data(3, 'hello ')
    client.data(3, 'there', { fin: true })
    await client.until(() => client.got(3).ended && client.got(1).ended)
    expect(client.got(3)).toEqual({ text: 'hello there', ended: true, reset: false })
    expect(client.got(1).text).toBe('')
    expect(await client.reply(1)).toEqual(Buffer.alloc(4))
    expect(await client.reply(3)).toEqual(Buffer.alloc(4))
    client.close()
  })

  it('goes on beside others of the same client', async () => {
    const client = await Client.open(await url())
    for (const [request, base] of [
      ['0', 1],
      ['1', 5],
    ] as const) {
      await client.stream(base, headersOf('error', portOf(echo), request), { fin: true })
      await client.stream(base + 2, headersOf('data', portOf(echo), request))
    }
    client.data(7, 'second', { fin: true })
    await client.until(() => client.got(7).ended)
    client.data(3, 'first', { fin: true })
    await client.until(() => client.got(3).ended)
    expect([client.got(3).text, client.got(7).text]).toEqual(['first', 'second'])
    client.close()
  })

  it('tells what went wrong where nobody listens, and resets the streams', async () => {
    const port = portOf(echo)
    echo.close()
    await once(echo, 'close')
    const client = await Client.open(await url())
    await client.stream(1, headersOf('error', port, '0'), { fin: true })
    await client.stream(3, headersOf('data', port, '0'))
    await client.until(() => client.got(1).ended && client.got(3).reset)
    expect(client.got(1).text).toMatch(
      new RegExp(
        `^error forwarding port ${port} to pod web, uid u1: dial tcp 127.0.0.1:${port}: connect: connection refused$`,
      ),
    )
    client.close()
  })

  it('is not made of streams without a port', async () => {
    const client = await Client.open(await url())
    await client.stream(1, headersOf('error', 0, '0'))
    await client.until(() => client.got(1).reset)
    client.ping(7)
    await client.until(() => client.frames.some(({ type, body }) => type === 6 && body.readUInt32BE(0) === 7))
    client.close()
  })
})

describe('the address for a port-forward', () => {
  it('is good once', async () => {
    const to = await url()
    const client = await Client.open(to)
    expect(client.status).toBe(101)
    expect((await Client.open(to)).status).toBe(404)
    expect((await Client.open(to.replace(/[^/]*$/, 'guessed'))).status).toBe(404)
    client.close()
  })

  it('is for SPDY and WebSockets, and port-forward only', async () => {
    expect((await Client.open(await url(), { Upgrade: 'h2c' })).status).toBe(400)
    expect(
      (await Client.open(await url(), { 'X-Stream-Protocol-Version': 'v4.channel.k8s.io' })).status,
    ).toBe(403)
  })

  it('ends the connection of who speaks something else, and of all when it is closed', async () => {
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      '\x80\x02\0\x01\0\0\0\0',
      '\x80\x03\0\x01\0\0\0\x0b\0\0\0\x01\0\0\0\0\0\0x',
    ]) {
      const client = await Client.open(await url())
      client.write(Buffer.from(bytes, 'latin1'))
      await client.until(() => client.isClosed)
    }
    const client = await Client.open(await url())
    await forwarder.close()
    await client.until(() => client.isClosed)
  })
})
