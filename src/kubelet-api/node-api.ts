import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { Duplex } from 'node:stream'
import type { Backend } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import { asPodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import { checkAccess } from './access.ts'
import { answerStatus } from './answer-status.ts'
import type { Authenticator, Authorizer } from './auth.ts'
import { logUnavailable } from './log-unavailable.ts'
import { parseLogQuery } from './log-query.ts'
import { matchRoute, type PodPath, type Route } from './route.ts'
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

/** The Pods bound to this Node, as the API server last told. */
export interface NodePods {
  find(namespace: string, name: string): Pod | undefined
  list(): readonly Pod[]
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

  async #answerRoute(
    route: Route,
    { request, url, response }: { request: IncomingMessage; url: URL; response: ServerResponse },
  ): Promise<void> {
    const isGet = request.method === 'GET'
    switch (route.kind) {
      case 'exec':
      case 'attach':
      case 'portForward':
        return sendText(response, 400, 'Upgrade request required')
      case 'healthz':
        return isGet ? sendText(response, 200, 'ok') : notAllowed(response)
      case 'pods':
        return isGet ? sendPodList(response, this.#options.pods.list()) : notAllowed(response)
      case 'runningPods':
        return isGet ? sendPodList(response, await this.#runningPods()) : notAllowed(response)
      case 'containerLogs':
        return isGet ? await this.#sendLog(route, url.searchParams, response) : notAllowed(response)
    }
  }

  async #runningPods(): Promise<Pod[]> {
    const { backend, nodeName } = this.#options
    const observed = await backend.list(this.#signal)
    return observed
      .filter((pod) => pod.nodeName === nodeName && pod.phase !== 'stopped')
      .map(({ uid, namespace, name, containers }) => ({
        metadata: { uid, namespace, name },
        spec: {
          containers: containers
            .filter(({ state }) => state.kind === 'running')
            .map((container) => ({ name: container.name, image: container.image })),
        },
      }))
  }

  async #sendLog(
    route: Extract<Route, { kind: 'containerLogs' }>,
    params: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const { backend, clock, log } = this.#options
    const query = parseLogQuery(params, clock.wallMs())
    if (!query.ok) return sendText(response, query.status, query.message)
    const { container } = route
    const pod = this.#options.pods.find(route.pod.namespace, route.pod.name)
    if (!pod) return sendText(response, 404, `pod "${route.pod.name}" does not exist`)
    if (!hasContainer(pod, container)) {
      return sendText(response, 404, `container "${container}" not found in pod "${route.pod.name}"`)
    }
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the reader of the log has gone')))
    const signal = AbortSignal.any([this.#signal, gone.signal])
    const uid = asPodUid(pod.metadata?.uid ?? '')
    try {
      const lines = await backend.logs(uid, container, query.options, signal)
      response.writeHead(200, { 'Content-Type': 'text/plain' })
      // At once: with `follow` the first line may be long in coming.
      response.flushHeaders()
      await pipeline(lines, response)
    } catch (error) {
      if (signal.aborted) return void response.destroy()
      if (response.headersSent) {
        log.warn({ ...route.pod, container, error: errorMessage(error) }, 'log stream broke off')
        return void response.destroy()
      }
      // Kubelet answers all of these with 400, and kubectl shows the text.
      const told = hasCode(error, 'NotFound')
        ? logUnavailable(pod, { container, previous: query.options.previous })
        : errorMessage(error)
      sendText(response, hasCode(error, 'NotFound') ? 400 : answerStatus(error), told)
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
      const pod = this.#findPod(route.pod)
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

  #findPod({ namespace, name, uid }: PodPath): Pod {
    const pod = this.#options.pods.find(namespace, name)
    if (!pod) throw new SpillwayError('NotFound', 'pod does not exist')
    if (uid !== undefined && pod.metadata?.uid !== uid) throw new SpillwayError('NotFound', 'pod not found')
    return pod
  }
}

function requestUrl(request: IncomingMessage): URL {
  return new URL(`https://node${request.url ?? '/'}`)
}

function hasContainer({ spec }: Pod, container: string): boolean {
  const all = [
    ...(spec?.containers ?? []),
    ...(spec?.initContainers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ]
  return all.some(({ name }) => name === container)
}

function sendPodList(response: ServerResponse, items: readonly Pod[]): void {
  const body = JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items })
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(body)
}

function notAllowed(response: ServerResponse): void {
  sendText(response, 405, '405: Method Not Allowed')
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text)
}

/** An HTTP answer by hand, on a connection that Node has given up parsing. */
function endWithText(socket: Duplex, status: number, text: string): void {
  const body = Buffer.from(text)
  const head = [
    `HTTP/1.1 ${status} `,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  if (!socket.destroyed) socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
}
