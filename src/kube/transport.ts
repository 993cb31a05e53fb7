import { Pool, type Dispatcher } from 'undici'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { ClientCertificate, Credentials, Identity } from './credentials.ts'
import { parseRetryAfter, parseStatus, statusError } from './status-error.ts'

export interface TransportOptions {
  readonly credentials: Credentials
  readonly userAgent: string
  readonly clock: Clock
  readonly requestTimeoutMs: number
  /** Connections for requests that are not watches; more requests wait for one. */
  readonly connections: number
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly body?: string
  readonly contentType?: string
}

interface Pools {
  readonly certificate: ClientCertificate | undefined
  readonly requests: Pool
  readonly watches: Pool
}

/**
 * HTTP/1.1 to one API server, authenticated. Not HTTP/2: over one shared connection a lost packet holds up every
 * watch and lease alike, and a half-open connection stalls them all at once; here each finds out for itself.
 */
export class Transport {
  readonly #options: TransportOptions
  readonly #basePath: string
  readonly #origin: string
  #pools: Pools | undefined
  #closed = false
  /** Pools of a certificate that was rotated: their watches run to their end. */
  readonly #retired = new Set<Pools>()

  constructor(options: TransportOptions) {
    this.#options = options
    const url = new URL(options.credentials.server)
    this.#origin = url.origin
    this.#basePath = url.pathname === '/' ? '' : url.pathname
  }

  /** The body of a 2xx answer. A 401 is tried once more with an identity read anew (a token that was rotated). */
  async request(request: HttpRequest, signal: AbortSignal): Promise<string> {
    const timeoutMs = this.#options.requestTimeoutMs
    const attempt = (): Promise<string> =>
      this.#within(timeoutMs, title(request), signal, (signal) => this.#requestOnce(request, signal))
    try {
      return await attempt()
    } catch (error) {
      if (!isUnauthorized(error)) throw error
      this.#options.credentials.refused()
      return attempt()
    }
  }

  /**
   * The bytes of a GET whose answer has no end of its own. Rejects with Unavailable, reason `WatchStalled`, when
   * nothing came for `stallTimeoutMs`. Leaving the loop, or the signal, closes the connection at once.
   */
  async *stream(
    request: HttpRequest,
    options: { readonly stallTimeoutMs: number; readonly onOpen: () => void },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { clock, requestTimeoutMs, credentials } = this.#options
    const stop = new AbortController()
    const onAbort = (): void => stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const stalled = (): void => stop.abort(stallError(request, options.stallTimeoutMs))
    let cancelTimer = (): void => undefined
    try {
      const response = await this.#within(requestTimeoutMs, title(request), stop.signal, (opening) =>
        // The signal of the opening would be let go with the answer's head: the stream keeps its own.
        this.#openStream(request, opening, stop),
      )
      options.onOpen()
      cancelTimer = clock.timer(options.stallTimeoutMs, stalled)
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        cancelTimer()
        yield chunk
        // Anew only now: while the consumer works, silence is its own.
        cancelTimer = clock.timer(options.stallTimeoutMs, stalled)
      }
    } catch (error) {
      if (isUnauthorized(error)) credentials.refused()
      throw this.#translated(error, title(request), stop.signal)
    } finally {
      cancelTimer()
      signal.removeEventListener('abort', onAbort)
      stop.abort()
    }
  }

  /** Ends every request and watch. */
  async close(): Promise<void> {
    this.#closed = true
    const all = [...this.#retired, ...(this.#pools ? [this.#pools] : [])]
    await Promise.all(all.flatMap(({ requests, watches }) => [requests.destroy(), watches.destroy()]))
  }

  async #requestOnce(request: HttpRequest, signal: AbortSignal): Promise<string> {
    const response = await this.#dispatch(request, 'requests', signal)
    const body = await response.body.text()
    if (response.statusCode < 300) return body
    throw refusal(request, response, body)
  }

  async #openStream(
    request: HttpRequest,
    opening: AbortSignal,
    stop: AbortController,
  ): Promise<Dispatcher.ResponseData['body']> {
    // undici ties the body to the signal it was given, so the stream's own is given, and the opening's time-out stops it.
    const onTimeout = (): void => stop.abort(opening.reason)
    opening.addEventListener('abort', onTimeout, { once: true })
    try {
      const response = await this.#dispatch(request, 'watches', stop.signal)
      if (response.statusCode >= 300) throw refusal(request, response, await response.body.text())
      return response.body
    } finally {
      opening.removeEventListener('abort', onTimeout)
    }
  }

  async #dispatch(
    request: HttpRequest,
    pool: 'requests' | 'watches',
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const identity = await this.#options.credentials.identity(signal)
    signal.throwIfAborted()
    return this.#poolsFor(identity)[pool].request({
      method: request.method,
      path: `${this.#basePath}${request.path}`,
      headers: {
        accept: 'application/json',
        'user-agent': this.#options.userAgent,
        ...(request.contentType && { 'content-type': request.contentType }),
        ...(identity.headers as Record<string, string | string[]>),
      },
      body: request.body ?? null,
      // A DELETE has a body here. By default undici closes the connection after one, and each Pod's end cost a handshake.
      reset: false,
      signal,
      // Our own timers watch over both: they follow the injected clock, and a watch may be silent for long.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  #poolsFor(identity: Identity): Pools {
    if (this.#closed) throw new SpillwayError('Unavailable', 'the API server client is closed')
    const { certificate } = identity
    const current = this.#pools
    if (
      current &&
      current.certificate?.cert === certificate?.cert &&
      current.certificate?.key === certificate?.key
    ) {
      return current
    }
    if (current) this.#retire(current)
    this.#pools = this.#openPools(certificate)
    return this.#pools
  }

  #openPools(certificate: ClientCertificate | undefined): Pools {
    const { credentials, connections } = this.#options
    const options: Pool.Options = {
      allowH2: false,
      // Below the API server's idle time-out of 90 s, so that no request meets a connection being closed.
      keepAliveTimeout: 30_000,
      keepAliveMaxTimeout: 30_000,
      connect: {
        timeout: 10_000,
        rejectUnauthorized: !credentials.insecureSkipTlsVerify,
        ...(credentials.ca !== undefined && { ca: credentials.ca }),
        ...(credentials.tlsServerName !== undefined && { servername: credentials.tlsServerName }),
        ...(certificate && { cert: certificate.cert, key: certificate.key }),
      },
    }
    return {
      certificate,
      requests: new Pool(this.#origin, { ...options, connections }),
      // Each watch holds a connection for minutes: in a pool with a limit it would starve the requests.
      watches: new Pool(this.#origin, { ...options, connections: null }),
    }
  }

  #retire(pools: Pools): void {
    this.#retired.add(pools)
    const drained = (): void => void this.#retired.delete(pools)
    void Promise.all([pools.requests.close(), pools.watches.close()]).then(drained, drained)
  }

  /** Runs with a signal that is also aborted after the duration. */
  async #within<T>(
    timeoutMs: number,
    what: string,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted()
    const inner = new AbortController()
    const onAbort = (): void => inner.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const cancelTimer = this.#options.clock.timer(timeoutMs, () => {
      inner.abort(new SpillwayError('Unavailable', `${what}: no answer within ${timeoutMs} ms`))
    })
    try {
      return await run(inner.signal)
    } catch (error) {
      throw this.#translated(error, what, inner.signal)
    } finally {
      cancelTimer()
      signal.removeEventListener('abort', onAbort)
    }
  }

  #translated(error: unknown, what: string, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    if (error instanceof SpillwayError) return error
    const message = `${what} at ${this.#options.credentials.server}: ${errorMessage(error)}`
    return new SpillwayError('Unavailable', message, { cause: error })
  }
}

/** The reason of a watch that ended because nothing came. */
export const watchStalled = 'WatchStalled'

function stallError(request: HttpRequest, stallTimeoutMs: number): SpillwayError {
  return new SpillwayError('Unavailable', `${title(request)}: nothing came for ${stallTimeoutMs} ms`, {
    reason: watchStalled,
  })
}

function refusal(request: HttpRequest, response: Dispatcher.ResponseData, body: string): SpillwayError {
  const status = parseStatus(body)
  const retryAfterSeconds = parseRetryAfter(response.headers['retry-after'])
  return statusError({
    request: title(request),
    statusCode: response.statusCode,
    // Text that is no Status (a proxy's, or `/readyz`'s list of checks) is still the best explanation there is.
    status: status ?? { message: body.trim().slice(0, 1000) || `HTTP status ${response.statusCode}` },
    ...(response.statusCode === 401 && !status && { status: { reason: unauthorized } }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  })
}

const unauthorized = 'Unauthorized'

function isUnauthorized(error: unknown): boolean {
  return hasCode(error, 'Forbidden') && error.reason === unauthorized
}

function title({ method, path }: HttpRequest): string {
  return `${method} ${path.split('?', 1)[0]}`
}
