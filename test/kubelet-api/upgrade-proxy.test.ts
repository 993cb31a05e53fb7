import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openNodeApi, type NodeApiBench } from '../support/node-api.ts'

let bench: NodeApiBench
const sockets = new Set<Socket>()
const upstreams: Server[] = []

beforeEach(async () => {
  bench = await openNodeApi()
})

afterEach(async () => {
  bench.stop()
  for (const socket of sockets) socket.destroy()
  for (const server of upstreams.splice(0)) await new Promise((resolve) => server.close(resolve))
})

describe('an upgraded connection', () => {
  /** A streaming server as containerd's: `answer` gets the request and the raw connection. */
  async function upstream(
    answer: (request: IncomingMessage, socket: Socket, head: Buffer) => void,
  ): Promise<void> {
    const server = createServer((_request, response) => response.writeHead(403).end('not like this'))
    server.on('upgrade', answer)
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    upstreams.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    bench.backend.target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/exec/TOKEN`
  }

  // Half-open is a matter of the socket below TLS, which its types leave out.
  const tlsOptions = (): ConnectionOptions => {
    const options = { host: '127.0.0.1', port: bench.port, ca: bench.serving.cert, allowHalfOpen: true }
    return options
  }

  function open(path: string, { token = 'good', early = '' } = {}): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls(tlsOptions(), () => {
        const lines = [
          `POST ${path} HTTP/1.1`,
          'Host: node',
          `Authorization: Bearer ${token}`,
          'Connection: Upgrade',
          'Upgrade: SPDY/3.1',
          'X-Stream-Protocol-Version: v4.channel.k8s.io',
          'X-Stream-Protocol-Version: channel.k8s.io',
          'Content-Length: 0',
        ]
        socket.write(`${lines.join('\r\n')}\r\n\r\n${early}`)
        resolve(socket)
      })
      sockets.add(socket)
      socket.on('error', reject)
    })
  }

  async function readAll(socket: TLSSocket): Promise<string> {
    return Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1')
  }

  async function readUntil(socket: TLSSocket, end: string): Promise<string> {
    let text = ''
    while (!text.endsWith(end)) {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) await new Promise((resolve) => socket.once('readable', resolve))
      else text += chunk.toString('latin1')
    }
    return text
  }

  const exec = '/exec/shop/web/app?command=sh&command=-c&input=1&output=1&tty=1&error=1'
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n'

  it('is repeated at the target without our credentials, and every byte passes', async () => {
    let seen: IncomingMessage | undefined
    await upstream((request, socket, head) => {
      seen = request
      socket.write(`${switching}greeting`)
      if (head.length > 0) socket.write(head)
      socket.pipe(socket)
    })
    const socket = await open(exec, { early: 'early' })
    const start = await readUntil(socket, 'early')
    expect(start).toBe(`${switching}greetingearly`)
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    socket.write(bytes)
    expect(await readUntil(socket, '\u00ff')).toBe(bytes.toString('latin1'))
    expect([seen?.method, seen?.url]).toEqual(['POST', '/exec/TOKEN'])
    expect(seen?.headers).not.toHaveProperty('authorization')
    expect(seen?.headers).toMatchObject({ upgrade: 'SPDY/3.1', 'x-extra': 'yes' })
    expect(seen?.headersDistinct['x-stream-protocol-version']).toEqual([
      'v4.channel.k8s.io',
      'channel.k8s.io',
    ])
    expect(bench.backend.calls).toEqual([
      {
        uid: 'u-1',
        container: 'app',
        options: { command: ['sh', '-c'], stdin: true, stdout: true, stderr: false, tty: true },
      },
    ])
  })

  it('keeps the output coming after the input has ended', async () => {
    await upstream((_request, socket) => {
      socket.write(switching)
      let received = ''
      socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
      socket.on('end', () => socket.end(`got ${received}`))
    })
    const socket = await open(exec)
    await readUntil(socket, '\r\n\r\n')
    socket.end('all of it')
    expect(await readAll(socket)).toBe('got all of it')
  })

  it('holds a fast sender back, and loses nothing of what it sent', async () => {
    const size = 8 << 20
    await upstream((_request, socket) =>
      socket.end(Buffer.concat([Buffer.from(switching), Buffer.alloc(size, 'x')])),
    )
    const text = await readAll(await open(exec))
    expect(text.length).toBe(switching.length + size)
  })

  it('ends on the other side when the client goes', async () => {
    const accepted = Promise.withResolvers<Socket>()
    await upstream((_request, socket) => {
      socket.write(switching)
      accepted.resolve(socket)
    })
    const socket = await open(exec)
    await readUntil(socket, '\r\n\r\n')
    const far = await accepted.promise
    far.on('error', () => undefined)
    const ended = new Promise((resolve) => far.once('end', resolve))
    far.resume()
    socket.destroy()
    await ended
  })

  it('that the target refuses is relayed and closed', async () => {
    await upstream((_request, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nnope')
    })
    const text = await readAll(await open(exec))
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/)
    expect(text).toContain('X-Why: because\r\n')
    expect(text.endsWith('\r\n\r\nnope')).toBe(true)
  })

  it('to nobody, nothing, or without streams is answered in words', async () => {
    const says = async (path: string, token = 'good') => await readAll(await open(path, { token }))
    expect(await says(exec, 'bad')).toMatch(/^HTTP\/1\.1 401 [^]*Unauthorized$/)
    expect(await says(exec)).toMatch(/^HTTP\/1\.1 500 [^]*container not found \("app"\)$/)
    expect(await says('/exec/shop/none/app?output=1')).toMatch(/404 [^]*pod does not exist$/)
    expect(await says('/exec/shop/web/other-uid/app?output=1')).toMatch(
      /500 [^]*container not found \("app"\)$/,
    )
    expect(await says('/exec/shop/web/app?command=sh')).toMatch(
      /400 [^]*at least 1 of stdin, stdout, stderr$/,
    )
    bench.backend.target = 'http://127.0.0.1:1/'
    expect(await says(exec)).toMatch(/503 [^]*error dialing backend: /)
    expect(await bench.ask(exec, { token: 'good', method: 'POST' })).toMatchObject({
      status: 400,
      body: 'Upgrade request required',
    })
  })

  it('ends when nothing is sent for too long', async () => {
    bench.stop()
    bench = await openNodeApi({ streamIdleMs: 50 })
    await upstream((_request, socket) => void socket.on('error', () => undefined).write(switching))
    const socket = await open(exec)
    expect(await readAll(socket)).toBe(switching)
  })

  it('leaves nothing open when its client vanishes, in whichever state', async () => {
    const far = new Set<Socket>()
    let flooded = 0
    await upstream((_request, socket) => {
      far.add(socket.on('error', () => undefined))
      socket.write(switching)
      // More than all buffers hold, to somebody who reads none of it.
      const flood = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) continue
        flooded += 1
      }
      socket.on('drain', flood)
      flood()
    })
    const joined = await Promise.all(Array.from({ length: 3 }, () => open(exec)))
    await Promise.all(joined.map((socket) => new Promise((resolve) => socket.once('readable', resolve))))
    // These go before anybody could have answered them.
    const early = await Promise.all(Array.from({ length: 3 }, () => open(exec)))
    for (const socket of [...early, ...joined]) socket.destroy()
    await Promise.all([...far].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    expect(far.size).toBeGreaterThanOrEqual(3)
    expect(flooded).toBeGreaterThan(0)
    await vi.waitFor(() => expect([...sockets].filter((socket) => !socket.destroyed)).toEqual([]))
  })

  it('ends with the node API', async () => {
    await upstream((_request, socket) => void socket.write(switching))
    const socket = await open(exec)
    await readUntil(socket, '\r\n\r\n')
    socket.removeAllListeners('error').on('error', () => undefined)
    const ended = new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
    socket.resume()
    bench.stop()
    await ended
  })
})
