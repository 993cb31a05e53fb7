import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { StreamTarget } from '../backends/backend.ts'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'

/** A client's request to change protocol, as Node hands it out. */
export interface UpgradeRequest {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** What the client sent right after its header. */
  readonly head: Buffer
}

export interface ProxiedStream {
  readonly target: StreamTarget
  /** How long both sides may be silent before the connection is closed. */
  readonly idleMs: number
  readonly clock: Pick<Clock, 'timer'>
}

// Host is the target's own; the client's credentials were for us; the rest of the list Node writes itself.
const notPassedOn: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'content-length',
  'transfer-encoding',
])

/**
 * Repeats the request at the target, and once that has changed protocol passes every byte in both directions: no
 * knowledge of SPDY or WebSockets is needed. An answer that is not 101 is relayed, and the connection then closed, so
 * that nothing more can be asked of the target through it. Resolves when the streams are joined, or the answer is
 * relayed. Unavailable: the target cannot be reached; nothing has been written to the client then.
 */
export async function proxyUpgrade(
  client: UpgradeRequest,
  { target, idleMs, clock }: ProxiedStream,
  signal: AbortSignal,
): Promise<void> {
  // It went away while we asked who it is; nothing would ever close the other side.
  if (client.socket.destroyed) return
  const url = new URL(target.url)
  await new Promise<void>((resolve, reject) => {
    const outgoing = httpRequest({
      // No agent of any kind, `false` included: with one, `createConnection` is ignored in silence.
      method: client.request.method ?? 'POST',
      host: url.hostname,
      port: url.port,
      path: `${url.pathname}${url.search}`,
      headers: passedHeaders(client.request, url, target.headers),
      createConnection: () => dial(url, target, idleMs),
      signal,
    })
    // A client that goes away while we dial.
    const giveUp = (): void => void outgoing.destroy()
    client.socket.once('close', giveUp)
    outgoing.on('upgrade', (answer, upstream, upstreamHead) => {
      client.socket.off('close', giveUp)
      client.socket.write(responseHead(answer))
      if (upstreamHead.length > 0) client.socket.write(upstreamHead)
      if (client.head.length > 0) upstream.write(client.head)
      join(client.socket, upstream, clock)
      resolve()
    })
    outgoing.on('response', (answer) => {
      client.socket.write(responseHead(answer, { close: true }))
      answer.pipe(client.socket)
      answer.on('error', () => client.socket.destroy())
      resolve()
    })
    outgoing.on('error', (error) => {
      reject(
        signal.aborted
          ? (signal.reason as Error)
          : new SpillwayError('Unavailable', `error dialing backend: ${error.message}`, { cause: error }),
      )
    })
    outgoing.end()
  })
}

function dial(url: URL, target: StreamTarget, idleMs: number): Duplex {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const host = url.hostname.replaceAll(/[[\]]/g, '')
  // Half-open, so that one side's end of input does not cut off the other's output.
  const options = {
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    // Of this side alone: all bytes pass it, whichever way they go.
    timeout: idleMs,
  }
  const socket =
    url.protocol === 'https:'
      ? connectTls({ ...options, ...(target.tls && { ca: target.tls.ca }) })
      : connectTcp(options)
  return socket.once('timeout', () =>
    socket.destroy(new Error(`nothing was sent for ${idleMs / 1000} seconds`)),
  )
}

function passedHeaders(
  request: IncomingMessage,
  url: URL,
  extra: Readonly<Record<string, string>>,
): readonly string[] {
  const headers = ['Host', url.host]
  const { rawHeaders } = request
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (!notPassedOn.has(name.toLowerCase())) headers.push(name, rawHeaders[index + 1] ?? '')
  }
  for (const [name, value] of Object.entries(extra)) headers.push(name, value)
  headers.push('Content-Length', '0')
  return headers
}

function responseHead(answer: IncomingMessage, { close = false } = {}): string {
  const lines = [`HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}`]
  for (let index = 0; index < answer.rawHeaders.length; index += 2) {
    const name = answer.rawHeaders[index] ?? ''
    // The body arrives unframed from Node; its end is the end of the connection.
    const framing = ['connection', 'transfer-encoding', 'keep-alive'].includes(name.toLowerCase())
    if (!close || !framing) lines.push(`${name}: ${answer.rawHeaders[index + 1] ?? ''}`)
  }
  if (close) lines.push('Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n`
}

// Longer than a slow reader needs for what is in the buffers; one that does not read at all would hold them for ever.
const flushMs = 60_000

/** Both directions, each with its own end; an error or the full close of one side closes the other. */
function join(client: Duplex, upstream: Duplex, clock: Pick<Clock, 'timer'>): void {
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => {
      // What was piped is still on its way out: end first.
      to.end(() => to.destroy())
      to.once(
        'close',
        clock.timer(flushMs, () => to.destroy()),
      )
    })
  }
}
