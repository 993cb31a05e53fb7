import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { PemPair } from '../model/pem-pair.ts'
import type { Log } from '../telemetry/log.ts'
import { answerReview, type Mutation } from './admission-review.ts'

export interface WebhookServerOptions {
  /** Port 0: any that is free. */
  readonly listen: { readonly address: string; readonly port: number }
  readonly pair: PemPair
  /** By path, as in `/placement`. */
  readonly mutations: ReadonlyMap<string, Mutation>
  readonly log: Log
}

/** The largest object that etcd takes is 1.5 MiB; an update comes with the old one beside the new. */
const longestBody = 8 << 20

// Longer than the API server keeps idle connections (90 s, apimachinery SetTransportDefaults): the side that closes
// first must be the one that asks, else a review is lost with the connection that it was sent on.
const keepAliveTimeout = 120_000

/**
 * Answers admission reviews over TLS. Who asks is not asked: the answer is a pure function of the question, and nothing
 * of ours is in it.
 */
export class WebhookServer {
  readonly #options: WebhookServerOptions
  readonly #server: Server
  #pair: PemPair

  constructor(options: WebhookServerOptions) {
    this.#options = options
    this.#pair = options.pair
    const limits = { keepAliveTimeout, requestTimeout: 30_000, headersTimeout: 10_000 }
    this.#server = createServer(
      { ...limits, ...options.pair, minVersion: 'TLSv1.2' },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.on('tlsClientError', (error) =>
      options.log.debug({ error: error.message }, 'TLS handshake failed'),
    )
  }

  /** Resolves once it listens. Rejects with Unavailable when the address cannot be had. */
  async listen(): Promise<{ readonly address: string; readonly port: number }> {
    const { address, port } = this.#options.listen
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', (error) => {
      const message = `admission webhook cannot listen on ${address}:${port}: ${error.message}`
      reject(new SpillwayError('Unavailable', message, { cause: error }))
    })
    this.#server.listen({ host: address, port }, resolve)
    await promise
    this.#server.on('error', (error) =>
      this.#options.log.error({ error: error.message }, 'admission webhook listener failed'),
    )
    const bound = this.#server.address() as AddressInfo
    return { address: bound.address, port: bound.port }
  }

  /** Serves new connections with that certificate; those that are open stay. */
  setPair(pair: PemPair): void {
    if (pair.cert === this.#pair.cert) return
    this.#server.setSecureContext(pair)
    this.#pair = pair
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      // The API server adds its `?timeout=`.
      const mutate = this.#options.mutations.get((request.url ?? '').replace(/\?.*/, ''))
      if (mutate === undefined) return send(response, 404, 'text/plain', 'not found\n')
      if (request.method !== 'POST') return send(response, 405, 'text/plain', 'POST an AdmissionReview\n')
      const answer = answerReview(await bodyOf(request), mutate)
      send(response, 200, 'application/json', answer)
    } catch (error) {
      const status = hasCode(error, 'Rejected') ? 400 : 500
      if (status === 500) this.#options.log.error({ error: errorMessage(error) }, 'admission review failed')
      send(response, status, 'text/plain', `${errorMessage(error)}\n`)
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) {
      throw new SpillwayError('Rejected', `admission review: longer than ${longestBody} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent || response.destroyed) return
  // An error may come before the whole question has: what follows of it must not be taken for the next.
  const close = status === 200 ? {} : { connection: 'close' }
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...close })
  response.end(body)
}
