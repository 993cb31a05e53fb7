import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { checkAccess } from './access.ts'
import { answerStatus } from './answer-status.ts'
import { endWithText, sendJson, sendText, type Exchange } from './answers.ts'
import type { Authenticator, Authorizer } from './auth.ts'
import { sendContainerLog } from './container-logs.ts'
import { findPod, type NodePods } from './node-pods.ts'
import { podList, runningPods } from './pod-lists.ts'
import { matchRoute, type Route } from './route.ts'
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
  readonly log: Log
  readonly clock: Clock
}

export interface NodeApi {
  readonly address: string
  readonly port: number
}

/**
 * What the API server asks of a kubelet, for one virtual node: logs, exec, attach, port-forward, Pods, health. Resolves
 * once it listens; ends with the signal, and every connection with it. Unavailable: the address cannot be had.
 */
export async function startNodeApi(options: NodeApiOptions, signal: AbortSignal): Promise<NodeApi> {
  const server = new NodeApiServer(options, signal)
  return await server.listen()
}

class NodeApiServer {
  readonly #options: NodeApiOptions
  readonly #signal: AbortSignal
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()

  constructor(options: NodeApiOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#server = createServer(this.#tlsOptions(), (request, response) => {
      void this.#answer(request, response)
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
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

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = requestUrl(request)
      const refusal = await checkAccess(request, url.pathname, this.#options, this.#signal)
      if (refusal) return sendText(response, refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return sendText(response, 404, '404 page not found\n')
      await this.#answerRoute(route, { request, url, response })
    } catch (error) {
      if (response.headersSent) response.destroy()
      else sendText(response, answerStatus(error), errorMessage(error))
    }
  }

  async #answerRoute(route: Route, { request, url, response }: Exchange): Promise<void> {
    const { backend, nodeName } = this.#options
    const isGet = request.method === 'GET'
    switch (route.kind) {
      case 'exec':
      case 'attach':
      case 'portForward':
        return sendText(response, 400, 'Upgrade request required')
      case 'healthz':
        return isGet ? sendText(response, 200, 'ok') : notAllowed(response)
      case 'pods':
        return isGet ? sendJson(response, podList(this.#options.pods.list())) : notAllowed(response)
      case 'runningPods':
        return isGet
          ? sendJson(response, podList(await runningPods(backend, nodeName, this.#signal)))
          : notAllowed(response)
      case 'containerLogs':
        return isGet
          ? await sendContainerLog({ route, query: url.searchParams, response }, this.#options, this.#signal)
          : notAllowed(response)
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
      const refusal = await checkAccess(request, url.pathname, this.#options, this.#signal)
      if (refusal) return endWithText(socket, refusal.status, refusal.message)
      const route = matchRoute(url.pathname)
      if (!route) return endWithText(socket, 404, '404 page not found\n')
      if (route.kind !== 'exec' && route.kind !== 'attach' && route.kind !== 'portForward') {
        return endWithText(socket, 400, 'this path does not change protocol')
      }
      if (request.method !== 'GET' && request.method !== 'POST')
        return endWithText(socket, 405, 'Method Not Allowed')
      const pod = findPod(this.#options.pods, route.pod)
      const target = await streamTarget(
        { route, pod, query: url.searchParams },
        this.#options.backend,
        this.#signal,
      )
      await proxyUpgrade(client, target, this.#signal)
    } catch (error) {
      endWithText(socket, answerStatus(error), errorMessage(error))
    }
  }
}

function requestUrl(request: IncomingMessage): URL {
  return new URL(`https://node${request.url ?? '/'}`)
}

function notAllowed(response: ServerResponse): void {
  sendText(response, 405, '405: Method Not Allowed')
}
