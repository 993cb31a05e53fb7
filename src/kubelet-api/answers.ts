import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** One request, and the place for its answer. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly url: URL
  readonly response: ServerResponse
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text)
}

export function sendJson(response: ServerResponse, value: object): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}

/** An HTTP answer by hand, on a connection that Node has given up parsing. */
export function endWithText(socket: Duplex, status: number, text: string): void {
  const body = Buffer.from(text)
  const head = [
    `HTTP/1.1 ${status} `,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  if (!socket.destroyed) socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
}
