import 'reflect-metadata'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { webcrypto } from 'node:crypto'
import type { AddressInfo, Socket } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { BasicConstraintsExtension, X509CertificateGenerator } from '@peculiar/x509'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Backend, ExecOptions, LogOptions } from '../../src/backends/backend.ts'
import { reviewAuthenticator, reviewAuthorizer } from '../../src/kubelet-api/auth.ts'
import { startNodeApi } from '../../src/kubelet-api/node-api.ts'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { ChangingCertificate, type PemPair } from '../../src/kubelet-api/serving-certificate.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
let serving: PemPair
let client: PemPair
let clientCa: string

beforeAll(async () => {
  const nowMs = new Date('2026-01-01').getTime()
  serving = await selfSignedCertificate({
    nodeName: 'burst-0',
    addresses: ['127.0.0.1'],
    nowMs,
    lifeMs: 1e12,
  })
  ;({ client, clientCa } = await clientIdentity())
})

/** A client CA, and a certificate of it for the API server. */
async function clientIdentity(): Promise<{ client: PemPair; clientCa: string }> {
  const make = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const [caKeys, keys] = [await make(), await make()]
  const validity = {
    notBefore: new Date('2026-01-01'),
    notAfter: new Date('2056-01-01'),
    signingAlgorithm: algorithm,
  }
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=client-ca',
    extensions: [new BasicConstraintsExtension(true)],
    keys: caKeys,
    ...validity,
  })
  const certificate = await X509CertificateGenerator.create({
    subject: 'O=system:masters, CN=kube-apiserver',
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    ...validity,
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`
  return { client: { cert: certificate.toString('pem'), key }, clientCa: ca.toString('pem') }
}

const pod: Pod = {
  metadata: { uid: 'u-1', namespace: 'shop', name: 'web' },
  spec: { containers: [{ name: 'app', image: 'x', tty: true }] },
}

interface Review {
  readonly kind: string
  readonly spec: Record<string, unknown>
}

/** Reviews as an API server answers them: token `good` is alice, who may do what `allowed` lists. */
class Reviews {
  readonly asked: Review[] = []
  allowed = new Set(['proxy'])
  down = false

  readonly api = {
    create: async (_resource: unknown, review: Review): Promise<unknown> => {
      this.asked.push(review)
      if (this.down) throw new SpillwayError('Unavailable', 'API server down')
      if (review.kind === 'TokenReview') {
        const authenticated = review.spec['token'] === 'good'
        return { status: { authenticated, user: { username: 'alice', groups: ['dev'] } } }
      }
      const { subresource } = review.spec['resourceAttributes'] as { subresource: string }
      return { status: { allowed: this.allowed.has(subresource) } }
    },
  } as unknown as KubeApi
}

/** The calls that the node API makes, answered by what a test puts here. */
class ScriptedBackend {
  readonly calls: unknown[] = []
  log: () => Readable = () => Readable.from(['one\n', 'two\n'])
  target = ''

  readonly backend = {
    logs: async (uid: string, container: string, options: LogOptions) => {
      this.calls.push({ uid, container, options })
      return this.log()
    },
    exec: async (uid: string, container: string, options: ExecOptions) => {
      this.calls.push({ uid, container, options })
      if (this.target === '') throw new SpillwayError('NotFound', 'no such running container')
      return { url: this.target, headers: { 'X-Extra': 'yes' } }
    },
    list: async () => [],
  } as unknown as Backend
}

let reviews: Reviews
let backend: ScriptedBackend
let stop: AbortController
let certificate: ChangingCertificate
let port: number
let clock: FakeClock
const sockets = new Set<Socket>()
const upstreams: Server[] = []

beforeEach(async () => {
  reviews = new Reviews()
  backend = new ScriptedBackend()
  stop = new AbortController()
  certificate = new ChangingCertificate(serving)
  clock = new FakeClock()
  const review = { api: reviews.api, clock }
  const api = await startNodeApi(
    {
      nodeName: 'burst-0',
      listen: { address: '127.0.0.1', port: 0 },
      certificate,
      clientCa,
      authenticator: reviewAuthenticator(review),
      authorizer: reviewAuthorizer(review),
      backend: backend.backend,
      pods: {
        find: (namespace, name) => (namespace === 'shop' && name === 'web' ? pod : undefined),
        list: () => [pod],
      },
      log: silentLog(),
      clock,
    },
    stop.signal,
  )
  port = api.port
})

afterEach(async () => {
  stop.abort()
  for (const socket of sockets) socket.destroy()
  for (const server of upstreams.splice(0)) await new Promise((resolve) => server.close(resolve))
})

interface Answer {
  readonly status: number
  readonly body: string
}

function ask(
  path: string,
  options: { token?: string; identity?: PemPair; method?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = options.token ? { authorization: `Bearer ${options.token}` } : {}
    const { method = 'GET', identity } = options
    const agent = new Agent({ keepAlive: false, ca: serving.cert, ...identity })
    const outgoing = httpsRequest({ host: '127.0.0.1', port, path, method, headers, agent }, (answer) => {
      answer
        .toArray()
        .then((chunks) => resolve({ status: answer.statusCode ?? 0, body: chunks.join('') }), reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

describe('who may ask', () => {
  it('is nobody without a name, or with a wrong token', async () => {
    expect(await ask('/healthz')).toEqual({ status: 401, body: 'Unauthorized' })
    expect(await ask('/healthz', { token: 'bad' })).toEqual({ status: 401, body: 'Unauthorized' })
  })

  it('is known by a certificate of the client CA, groups and all', async () => {
    expect(await ask('/healthz', { identity: client })).toEqual({ status: 200, body: 'ok' })
    expect(reviews.asked.at(-1)?.spec).toMatchObject({
      user: 'kube-apiserver',
      groups: ['system:masters', 'system:authenticated'],
      resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'proxy', name: 'burst-0' },
    })
  })

  it('is not known by a certificate of somebody else', async () => {
    const other = await clientIdentity()
    expect(await ask('/healthz', { identity: other.client })).toMatchObject({ status: 401 })
  })

  it('is asked of the API server once for a while', async () => {
    await ask('/healthz', { token: 'good' })
    const count = reviews.asked.length
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
    expect(reviews.asked).toHaveLength(count)
    await clock.advance(5 * 60_000)
    await ask('/healthz', { token: 'good' })
    expect(reviews.asked.length).toBeGreaterThan(count)
  })

  it('needs the finer subresource or proxy, and is told which', async () => {
    reviews.allowed = new Set(['pods'])
    expect(await ask('/pods', { token: 'good' })).toMatchObject({ status: 200 })
    expect(await ask('/healthz', { token: 'good' })).toEqual({
      status: 403,
      body: 'Forbidden (user=alice, verb=get, resource=nodes, subresource(s)=[healthz proxy])\n',
    })
  })

  it('cannot be found out while the API server is down, and is refused', async () => {
    reviews.down = true
    expect(await ask('/healthz', { token: 'good' })).toMatchObject({ status: 401 })
    expect(await ask('/healthz', { identity: client })).toEqual({
      status: 500,
      body: 'Authorization error (user=kube-apiserver, verb=get, resource=nodes, subresource=healthz)',
    })
  })
})

describe('Pods', () => {
  it('of the node are listed', async () => {
    const { body } = await ask('/pods', { token: 'good' })
    expect(JSON.parse(body)).toMatchObject({ kind: 'PodList', items: [{ metadata: { name: 'web' } }] })
    expect(await ask('/runningpods/', { token: 'good' })).toMatchObject({ status: 200 })
  })
})

describe('logs', () => {
  it('are passed on with their options', async () => {
    const path = '/containerLogs/shop/web/app?tailLines=5&timestamps=true'
    expect(await ask(path, { token: 'good' })).toEqual({ status: 200, body: 'one\ntwo\n' })
    expect(backend.calls).toEqual([
      {
        uid: 'u-1',
        container: 'app',
        options: { follow: false, previous: false, timestamps: true, tailLines: 5 },
      },
    ])
  })

  it('begin before the first line has come, and stop when the reader goes', async () => {
    const lines = new PassThrough()
    backend.log = () => lines
    const answer = await new Promise<IncomingMessage>((resolve) => {
      const headers = { authorization: 'Bearer good' }
      const path = '/containerLogs/shop/web/app?follow=true'
      httpsRequest({ host: '127.0.0.1', port, path, headers, ca: serving.cert, agent: false }, resolve).end()
    })
    expect(answer.statusCode).toBe(200)
    lines.write('first\n')
    expect(String((await answer.iterator({ destroyOnReturn: false }).next()).value)).toBe('first\n')
    const closed = new Promise((resolve) => lines.once('close', resolve))
    answer.destroy()
    await closed
  })

  it('of what is not there are answered as by kubelet', async () => {
    expect(await ask('/containerLogs/shop/none/app', { token: 'good' })).toEqual({
      status: 404,
      body: 'pod "none" does not exist',
    })
    expect(await ask('/containerLogs/shop/web/none', { token: 'good' })).toEqual({
      status: 404,
      body: 'container "none" not found in pod "web"',
    })
    backend.log = () => {
      throw new SpillwayError('NotFound', 'no log')
    }
    expect(await ask('/containerLogs/shop/web/app', { token: 'good' })).toEqual({
      status: 400,
      body: 'container "app" in pod "web" is not available',
    })
    expect(await ask('/nothing', { token: 'good' })).toMatchObject({ status: 404 })
  })
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
    backend.target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/exec/TOKEN`
  }

  // Half-open is a matter of the socket below TLS, which its types leave out.
  const tlsOptions = (): ConnectionOptions => {
    const options = { host: '127.0.0.1', port, ca: serving.cert, allowHalfOpen: true }
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
    expect(backend.calls).toEqual([
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
    expect(await says(exec)).toMatch(/^HTTP\/1\.1 404 [^]*container not found \("app"\)$/)
    expect(await says('/exec/shop/none/app?output=1')).toMatch(/404 [^]*pod does not exist$/)
    expect(await says('/exec/shop/web/other-uid/app?output=1')).toMatch(/404 [^]*pod not found$/)
    expect(await says('/exec/shop/web/app?command=sh')).toMatch(
      /400 [^]*at least 1 of stdin, stdout, stderr$/,
    )
    backend.target = 'http://127.0.0.1:1/'
    expect(await says(exec)).toMatch(/503 [^]*error dialing backend: /)
    expect(await ask(exec, { token: 'good', method: 'POST' })).toEqual({
      status: 400,
      body: 'Upgrade request required',
    })
  })

  it('ends with the node API', async () => {
    await upstream((_request, socket) => void socket.write(switching))
    const socket = await open(exec)
    await readUntil(socket, '\r\n\r\n')
    socket.removeAllListeners('error').on('error', () => undefined)
    const ended = new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
    socket.resume()
    stop.abort()
    await ended
  })
})

describe('the serving certificate', () => {
  it('is replaced for new connections when it is renewed', async () => {
    const nowMs = new Date('2026-02-01').getTime()
    const renewed = await selfSignedCertificate({
      nodeName: 'burst-0',
      addresses: ['127.0.0.1'],
      nowMs,
      lifeMs: 1e12,
    })
    certificate.set(renewed)
    const fingerprint = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: renewed.cert }, () => {
        resolve(socket.getPeerCertificate().valid_from)
        socket.destroy()
      })
      socket.on('error', reject)
    })
    expect(Date.parse(fingerprint)).toBe(nowMs - 5 * 60_000)
  })

  it('keeps the old pair when the new one does not fit together', () => {
    expect(() => certificate.set({ cert: serving.cert, key: client.key })).toThrow()
    expect(certificate.current).toEqual(serving)
  })
})
