import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { NodeMetrics } from '../telemetry/node-metrics.ts'
import { checkAccess } from './access.ts'
import { answerRoute, notFound, type AnswerOptions, type NodeSize } from './answer-route.ts'
import { answerStatus } from './answer-status.ts'
import { endWithText, sendText } from './answers.ts'
import type { Authenticator, Authorizer } from './auth.ts'
import type { NodeSettings } from './configz.ts'
import type { HealthCheck } from './health.ts'
import { runningCounts, type NodePods } from './node-pods.ts'
import { NodeUsage } from './node-usage.ts'
import { matchRoute } from './route.ts'
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

// Kubelet's. Node's own 5 s would close connections that the API server is about to use again, and its 16 KiB of
// header are too few for an exec whose command is long: it stands in the query.
const serverLimits = {
  keepAliveTimeout: 90_000,
  maxHeaderSize: 1 << 20,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
} as const

class NodeApiServer {
  readonly #options: NodeApiOptions
  readonly #answering: AnswerOptions
  readonly #signal: AbortSignal
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()
  readonly #metrics: NodeMetrics

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
    this.#server = createServer({ ...serverLimits, ...this.#tlsOptions() }, (request, response) => {
      const served = this.#count(request, { longRunning: false })
      response.once('close', served)
      void this.#answer(request, response)
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.once('close', this.#count(request, { longRunning: true }))
      void this.#upgrade({ request, socket, head })
    })
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
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
      for (const socket of this.#sockets) socket.destroy()
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
      const refusal = await checkAccess(request, decodedPath(url), this.#options, this.#signal)
      if (refusal) return sendText(response, refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return notFound(response)
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
    try {
      const url = requestUrl(request)
      const refusal = await checkAccess(request, decodedPath(url), this.#options, this.#signal)
      if (refusal) return endWithText(socket, refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return endWithText(socket, 404, '404 page not found\n')
      if (route.kind !== 'exec' && route.kind !== 'attach' && route.kind !== 'portForward') {
        return endWithText(socket, 400, 'this path does not change protocol')
      }
      if (request.method !== 'GET' && request.method !== 'POST')
        return endWithText(socket, 405, 'Method Not Allowed')
      const { backend, pods, clock, streamIdleMs = defaultStreamIdleMs } = this.#options
      const answer = await streamTarget({ route, query: url.searchParams }, { backend, pods }, this.#signal)
      if (!answer.ok) return endWithText(socket, answer.status, answer.message)
      await proxyUpgrade(client, { target: answer.target, idleMs: streamIdleMs, clock }, this.#signal)
    } catch (error) {
      endWithText(socket, answerStatus(error), errorMessage(error))
    }
  }
}

/** Never throws: what is no path (`*`, a proxy's absolute form) is the root, where nothing is. */
function requestUrl({ url = '' }: IncomingMessage): URL {
  const root = 'https://node'
  return (url.startsWith('/') ? URL.parse(`${root}${url}`) : null) ?? new URL(root)
}

/** As Go has it: what is meant counts, not how it is spelled, else `/%73tats` would ask for another right. */
function decodedPath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return pathname
  }
}
