import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { WebSocketServer, type WebSocket } from 'ws'
import { Channels, type ChannelCoding } from './channels.ts'
import { forwardFailure, type ForwardTarget } from './forward-target.ts'

const codings: Readonly<Record<string, ChannelCoding>> = {
  'v4.channel.k8s.io': 'binary',
  'v4.base64.channel.k8s.io': 'base64',
}

// As Go's WebSocket takes at most, which kubelet has.
const maxMessageBytes = 32 << 20

// The number of a channel is one byte, and a port has two of them.
const mostPorts = 128

/** Why it cannot be, as an HTTP status; undefined: it can. A client that offers no protocol speaks in bytes. */
export function refusedWebSocket(
  { headers }: IncomingMessage,
  { ports }: Pick<ForwardTarget, 'ports'>,
): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').flatMap((one) => one.trim() || [])
  if (offered.length > 0 && !offered.some(isSpoken)) return '403 Forbidden'
  return ports.length > 0 && ports.length <= mostPorts ? undefined : '400 Bad Request'
}

function isSpoken(protocol: string): boolean {
  return Object.hasOwn(codings, protocol)
}

/**
 * Forwards the ports that were named in the request, one connection each, over channels: the bytes of the first on
 * channel 0 and what goes wrong with it on 1, of the second on 2 and 3. Each channel begins with its port, in two bytes,
 * the lower first. Resolves when all connections are over, and the client is told so.
 */
export async function forwardByWebSocket(
  { request, socket, head }: { request: IncomingMessage; socket: Duplex; head: Buffer },
  target: ForwardTarget,
): Promise<void> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: maxMessageBytes,
    handleProtocols: (offered) => [...offered].find(isSpoken) ?? false,
  })
  const webSocket = await new Promise<WebSocket>((resolve, reject) => {
    socket.once('close', () => reject(new Error('the client went away')))
    server.handleUpgrade(request, socket, head, resolve)
  })
  webSocket.on('error', () => webSocket.terminate())
  const channels = new Channels(webSocket, codings[webSocket.protocol] ?? 'binary')
  await Promise.all(target.ports.map((port, index) => forward(port, { index, channels, target })))
  webSocket.close(1000)
}

interface Forwarded {
  /** Among the ports of the request. */
  readonly index: number
  readonly channels: Channels
  readonly target: ForwardTarget
}

async function forward(port: number, { index, channels, target }: Forwarded): Promise<void> {
  const [data, error] = [channels.duplex(2 * index), channels.output(2 * index + 1)]
  const named = Buffer.from([port & 0xff, port >> 8])
  data.write(named)
  error.write(named)
  const connection = connect({ host: target.address, port, noDelay: true }).on('error', () => undefined)
  try {
    data.pipe(connection)
    // Its side's end is the end: the client has no word for its own.
    await pipeline(connection, data)
  } catch (cause) {
    error.write(forwardFailure(cause, { port, target }))
  } finally {
    connection.destroy()
  }
}
