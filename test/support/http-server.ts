import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Answer = (
  request: SeenRequest,
  response: ServerResponse,
  raw: IncomingMessage,
) => void | Promise<void>

export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Every request so far, in order. */
  readonly seen: readonly SeenRequest[]
}

/** An HTTP server on loopback that answers as told and remembers what it was asked. With `tls` it speaks HTTPS. */
export async function startHttpServer(
  answer: Answer,
  tls?: { readonly cert: string; readonly key: string; readonly ca?: string },
): Promise<TestServer> {
  const seen: SeenRequest[] = []
  const handle = async (raw: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of raw as AsyncIterable<Uint8Array>) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString('utf8')
    const request = { method: raw.method ?? '', url: raw.url ?? '', headers: raw.headers, body }
    seen.push(request)
    await answer(request, response, raw)
  }
  const listener = (raw: IncomingMessage, response: ServerResponse): void => {
    handle(raw, response).catch((error: unknown) => {
      response.destroy(error as Error)
    })
  }
  const server: Server = tls
    ? createTlsServer({ ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: false }, listener)
    : createServer(listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    seen,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function answerJson(response: ServerResponse, statusCode: number, body: unknown): void {
  response.writeHead(statusCode, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
