import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex, Writable } from 'node:stream'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { NodeMetrics } from '../telemetry/node-metrics.ts'
import { checkAccess, type Refusal } from './access.ts'
import { answerRoute, notFound, type AnswerOptions, type NodeSize } from './answer-route.ts'
import { answerStatus } from './answer-status.ts'
import { endWithText, sendText } from './answers.ts'
import type { Authenticator, Authorizer } from './auth.ts'
import type { NodeSettings } from './configz.ts'
import type { ConnectionGate } from './connection-gate.ts'
import type { HealthCheck } from './health.ts'
import { runningCounts, type NodePods } from './node-pods.ts'
import { NodeUsage } from './node-usage.ts'
import { OpenConnections } from './open-connections.ts'
import { decodePart, isStream, matchRoute } from './route.ts'
import type { ServingCertificate } from './serving-certificate.ts'
import { streamTarget } from './stream-requests.ts'
import { proxyUpgrade, type UpgradeRequest } from './upgrade-proxy.ts'

export interface NodeApiOptions {
  readonly nodeName: string
  /** Port 0: any that is free. */
  readonly listen: { readonly address: string; readonly port: number }
  readonly certificate: ServingCertificate
  /** PEM; without it nobody is known by a client certificate. */
  readonly clientCa?: string
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer
  /** Shared by all virtual nodes of the process. */
  readonly connections: ConnectionGate
  readonly backend: Backend
  readonly pods: NodePods
  /** Of now, and so are the settings. */
  readonly size: () => NodeSize
  readonly settings: () => NodeSettings
  /** Whether Pods are looked after at all. */
  readonly syncLoop: HealthCheck
  readonly log: Log
  readonly clock: Clock
  /** How long an upgraded connection may be silent. Default 4 h, as kubelet's streamingConnectionIdleTimeout. */
  readonly streamIdleMs?: number
  /** How many logs, exec, attach and port-forward may be under way at once. */
  readonly mostStreams?: number
}

export interface NodeApi {
  readonly address: string
  readonly port: number
}

/**
 * What the API server asks of a kubelet, for one virtual node: logs, exec, attach, port-forward, Pods, usage, health.
 * Resolves once it listens; ends with the signal, and every connection with it. Unavailable: the address cannot be had.
 */
export async function startNodeApi(options: NodeApiOptions, signal: AbortSignal): Promise<NodeApi> {
  const server = new NodeApiServer(options, signal)
  return await server.listen()
}

const defaultStreamIdleMs = 4 * 60 * 60_000

// The first two are kubelet's. Node's own 5 s would close connections that the API server is about to use again, and its
// 16 KiB of header are too few for an exec whose command is long: it stands in the query. The others are for who has been
// allowed something once, and then sends slowly; strangers have less time (connection-gate.ts). No request has a body that
// is read: kubelet's four hours for one would only keep the connection.
const serverLimits = {
  keepAliveTimeout: 90_000,
  maxHeaderSize: 1 << 20,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  headersTimeout: 30_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 10_000,
} as const

// Logs, exec, attach, port-forward of one node under way at once: each holds two file descriptors or more. Kubelet has no
// such limit; 110 Pods may have four each.
const defaultMostStreams = 440

// How long a refused upgrade may take to read its answer.
const lingerMs = 5_000

class NodeApiServer {
  readonly #options: NodeApiOptions
  readonly #answering: AnswerOptions
  readonly #signal: AbortSignal
  readonly #server: Server
  readonly #connections: OpenConnections
  readonly #metrics: NodeMetrics
  #streams = 0

  constructor(options: NodeApiOptions, signal: AbortSignal) {
    const { nodeName, backend, clock, pods, size } = options
    this.#options = options
    this.#signal = signal
    this.#metrics = new NodeMetrics({ nodeName, running: () => runningCounts(pods.list()) })
    const checks = new Map([
      ['ping', () => undefined],
      ['log', () => undefined],
      ['syncloop', options.syncLoop],
    ])
    const usage = new NodeUsage({ nodeName, memoryBytes: () => size().memoryBytes, backend, clock })
    this.#answering = { ...options, checks, usage, metrics: this.#metrics, startedAtMs: clock.wallMs() }
    this.#connections = new OpenConnections(options.connections, (why) => this.#metrics.countRefusal(why))
    this.#server = createServer({ ...serverLimits, ...this.#tlsOptions() }, (request, response) => {
      const served = this.#count(request, { longRunning: false })
      response.once('close', () => {
        served()
        this.#connections.answered(request)
      })
      // Node would read a body of any length to its end, only to get at the next request.
      if (hasBody(request)) response.shouldKeepAlive = false
      if (this.#connections.begins(request)) void this.#answer(request, response)
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.once('close', this.#count(request, { longRunning: true }))
      void this.#upgrade({ request, socket, head })
    })
    this.#connections.watch(this.#server)
    // Scanners and clients that hang up in the middle of the handshake.
    this.#server.on('tlsClientError', (error) =>
      options.log.debug({ error: error.message }, 'TLS handshake failed'),
    )
  }

  async listen(): Promise<NodeApi> {
    this.#signal.throwIfAborted()
    const { address, port } = this.#options.listen
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => {
        const message = `node API of ${this.#options.nodeName} cannot listen on ${address}:${port}: ${error.message}`
        reject(new SpillwayError('Unavailable', message, { cause: error }))
      })
      this.#server.listen({ host: address, port }, resolve)
    })
    this.#server.on('error', (error) =>
      this.#options.log.error({ error: error.message }, 'node API listener failed'),
    )
    const unsubscribe = this.#options.certificate.onChange(() =>
      this.#server.setSecureContext(this.#tlsOptions()),
    )
    const close = (): void => {
      unsubscribe()
      this.#server.close()
      this.#connections.close()
    }
    if (this.#signal.aborted) close()
    else this.#signal.addEventListener('abort', close, { once: true })
    const bound = this.#server.address() as AddressInfo
    return { address: bound.address, port: bound.port }
  }

  #tlsOptions() {
    const { certificate, clientCa } = this.#options
    const { cert, key } = certificate.current
    // Not refused in the handshake: who has no certificate may have a token.
    const client =
      clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }
    // Half-open: the end of exec's input must not cut off its output.
    return { cert, key, minVersion: 'TLSv1.2' as const, allowHalfOpen: true, ...client }
  }

  #count(request: IncomingMessage, { longRunning }: { readonly longRunning: boolean }): () => void {
    const { pathname } = requestUrl(request)
    const known = matchRoute(pathname) !== undefined
    const path = pathname.split('/')[1] ?? ''
    return this.#metrics.count({ method: request.method ?? '', path: known ? path : 'other', longRunning })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = requestUrl(request)
      const refusal = await this.#refusal(request, url)
      if (refusal) return sendText(response, refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return notFound(response)
      if (isStream(route) && !this.#takeStream(response)) return sendText(response, 429, tooManyStreams)
      await answerRoute(route, { request, url, response }, this.#answering, this.#signal)
    } catch (error) {
      if (response.headersSent) response.destroy()
      else sendText(response, answerStatus(error), errorMessage(error))
    }
  }

  async #upgrade(client: UpgradeRequest): Promise<void> {
    const { request, socket } = client
    // Before anything may wait: an unheard error would end the process.
    socket.on('error', (error) =>
      this.#options.log.debug({ error: error.message }, 'upgraded connection broke off'),
    )
    const refuse = (status: number, text: string): void => this.#endWithText(socket, status, text)
    try {
      const url = requestUrl(request)
      const refusal = await this.#refusal(request, url)
      if (refusal) return refuse(refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return refuse(404, '404 page not found\n')
      if (route.kind !== 'exec' && route.kind !== 'attach' && route.kind !== 'portForward') {
        return refuse(400, 'this path does not change protocol')
      }
      if (request.method !== 'GET' && request.method !== 'POST') return refuse(405, 'Method Not Allowed')
      if (!this.#takeStream(socket)) return refuse(429, tooManyStreams)
      const { backend, pods, clock, streamIdleMs = defaultStreamIdleMs } = this.#options
      const answer = await streamTarget({ route, query: url.searchParams }, { backend, pods }, this.#signal)
      if (!answer.ok) return refuse(answer.status, answer.message)
      await proxyUpgrade(client, { target: answer.target, idleMs: streamIdleMs, clock }, this.#signal)
    } catch (error) {
      refuse(answerStatus(error), errorMessage(error))
    }
  }

  async #refusal(request: IncomingMessage, url: URL): Promise<Refusal> {
    const refusal = await checkAccess(request, decodedPath(url), this.#options, this.#signal)
    if (refusal?.status === 429) this.#metrics.countRefusal('reviews')
    if (refusal || this.#connections.allowed(request)) return refusal
    return { status: 429, message: 'too many connections' }
  }

  /** False: there are too many. The place is given back when the stream is closed. */
  #takeStream(stream: Writable): boolean {
    if (this.#streams >= (this.#options.mostStreams ?? defaultMostStreams)) {
      this.#metrics.countRefusal('streams')
      return false
    }
    // Its end would never be told.
    if (stream.destroyed) return true
    this.#streams += 1
    stream.once('close', () => (this.#streams -= 1))
    return true
  }

  /** Reads on until the other side has ended, too: it is half-open, and nobody else would ever see that end. */
  #endWithText(socket: Duplex, status: number, text: string): void {
    endWithText(socket, status, text)
    if (socket.destroyed) return
    socket.resume()
    socket.once(
      'close',
      this.#options.clock.timer(lingerMs, () => socket.destroy()),
    )
  }
}

const tooManyStreams = 'too many logs, exec, attach and port-forward at once on this node; try again later'

function hasBody({ headers }: IncomingMessage): boolean {
  return 'transfer-encoding' in headers || (headers['content-length'] ?? '0') !== '0'
}

/** Never throws: what is no path (`*`, a proxy's absolute form) is the root, where nothing is. */
function requestUrl({ url = '' }: IncomingMessage): URL {
  const root = 'https://node'
  return (url.startsWith('/') ? URL.parse(`${root}${url}`) : null) ?? new URL(root)
}

/** What is meant counts, as in Go, not how it is spelled, else `/%73tats` would ask for another right. As the route has it. */
function decodedPath({ pathname }: URL): string {
  return pathname.split('/').map(decodePart).join('/')
}
