import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { PortForwarder } from '../../../../src/backends/cri/streaming/port-forwarder.ts'
import { systemClock } from '../../../../src/model/clock.ts'

let forwarder: PortForwarder
/** Says back what it is told, in capitals, until it is told to end. */
let loud: Server
const sockets: Socket[] = []

beforeEach(async () => {
  forwarder = new PortForwarder({ clock: systemClock })
  loud = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.setEncoding('utf8').on('data', (text: string) => {
      socket.write(text.toUpperCase())
      if (text.endsWith('bye')) socket.end()
    })
  })
  loud.listen(0, '127.0.0.1')
  await once(loud, 'listening')
})

afterEach(async () => {
  await forwarder.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  loud.close()
})

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** A client's side: what came on each channel, the port that each began with left off. */
class Client {
  readonly socket: WebSocket
  readonly #base64: boolean
  readonly #came = new Map<number, Buffer>()

  constructor(socket: WebSocket, base64: boolean) {
    this.socket = socket
    this.#base64 = base64
    socket.on('error', () => undefined)
    socket.on('message', (data: Buffer) => {
      const channel = (data[0] ?? 0) - (base64 ? 0x30 : 0)
      const rest = data.subarray(1)
      const body = base64 ? Buffer.from(rest.toString(), 'base64') : rest
      this.#came.set(channel, Buffer.concat([this.#came.get(channel) ?? Buffer.alloc(0), body]))
    })
  }

  static async open(ports: readonly number[], protocols: readonly string[] = ['v4.channel.k8s.io']) {
    const url = await forwarder.url({ address: '127.0.0.1', name: 'web', uid: 'u1', ports })
    const socket = new WebSocket(url, [...protocols])
    const client = new Client(socket, protocols.includes('v4.base64.channel.k8s.io'))
    await once(socket, 'open')
    return client
  }

  say(channel: number, text: string): void {
    const bytes = Buffer.from(text)
    if (this.#base64) this.socket.send(String.fromCharCode(0x30 + channel) + bytes.toString('base64'))
    else this.socket.send(Buffer.concat([Buffer.from([channel]), bytes]))
  }

  /** What every channel begins with. */
  portOn(channel: number): number | undefined {
    return this.#came.get(channel)?.readUInt16LE(0)
  }

  heard(channel: number): string {
    return this.#came.get(channel)?.subarray(2).toString() ?? ''
  }

  async closed(): Promise<number> {
    const [code] = (await once(this.socket, 'close')) as [number]
    return code
  }
}

async function statusOf(ports: readonly number[], protocols: readonly string[]): Promise<number> {
  const url = await forwarder.url({ address: '127.0.0.1', name: 'web', uid: 'u1', ports })
  const socket = new WebSocket(url, [...protocols]).on('error', () => undefined)
  const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
  return answer.statusCode
}

describe('a port that is forwarded by WebSocket', () => {
  it.each([['v4.channel.k8s.io'], ['v4.base64.channel.k8s.io'], ['unheard.of', 'v4.channel.k8s.io'], []])(
    'is spoken with over channels, its number first, by %s',
    async (...protocols: string[]) => {
      const client = await Client.open([portOf(loud)], protocols)
      client.say(0, 'hello ')
      client.say(0, 'there')
      await vi.waitFor(() => expect(client.heard(0)).toBe('HELLO THERE'))
      expect([client.portOn(0), client.portOn(1)]).toEqual([portOf(loud), portOf(loud)])
      expect(client.heard(1)).toBe('')
      expect(client.socket.protocol).toBe(protocols.at(-1) ?? '')
      client.say(0, 'bye')
      expect(await client.closed()).toBe(1000)
      expect(client.heard(0)).toBe('HELLO THEREBYE')
    },
  )

  it('goes on when another of the same request has ended, or was never there', async () => {
    const gone = createServer()
    gone.listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const nobody = portOf(gone)
    gone.close()
    await once(gone, 'close')
    const client = await Client.open([nobody, portOf(loud)])
    await vi.waitFor(() =>
      expect(client.heard(1)).toBe(
        `error forwarding port ${nobody} to pod web, uid u1: dial tcp 127.0.0.1:${nobody}: connect: connection refused`,
      ),
    )
    // To no channel of theirs, and to the one that says what went wrong: passed over.
    for (const channel of [0, 1, 3, 200]) client.say(channel, 'lost')
    client.say(2, 'still here, bye')
    expect(await client.closed()).toBe(1000)
    expect([client.heard(0), client.heard(2), client.heard(3)]).toEqual(['', 'STILL HERE, BYE', ''])
  })

  it('takes as much as it is given, in order, whoever is the slower', async () => {
    const client = await Client.open([portOf(loud)])
    const part = 'a'.repeat(99_999) + '|'
    for (let times = 0; times < 200; times += 1) client.say(0, part)
    client.say(0, 'bye')
    expect(await client.closed()).toBe(1000)
    expect(client.heard(0)).toBe(part.toUpperCase().repeat(200) + 'BYE')
  })

  it('hears that the client is gone', async () => {
    const client = await Client.open([portOf(loud)])
    client.say(0, 'hello')
    await vi.waitFor(() => expect(client.heard(0)).toBe('HELLO'))
    client.socket.terminate()
    await vi.waitFor(() => expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]))
  })

  it('is refused to who speaks no such protocol, or names no port, or more than there are channels', async () => {
    expect(await statusOf([80], ['v5.channel.k8s.io', 'toString'])).toBe(403)
    expect(await statusOf([], ['v4.channel.k8s.io'])).toBe(400)
    expect(await statusOf(Array.from({ length: 129 }, (_, index) => index + 1), ['v4.channel.k8s.io'])).toBe(400) // prettier-ignore
  })
})
