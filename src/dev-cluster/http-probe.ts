import { request as requestPlain, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as requestSecure } from 'node:https'
import { connect } from 'node:net'

const probeTimeoutMs = 2_000

/**
 * The status code of a GET, for health checks of components that are not the API server. `ca` is the PEM of the
 * authority that signed an https:// server's certificate.
 */
export async function probeHttp(
  { url, ca }: { readonly url: string; readonly ca?: string },
  signal: AbortSignal,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const options = { agent: false, timeout: probeTimeoutMs, signal } as const
  const onResponse = (response: IncomingMessage): void => {
    response.resume()
    resolve(response.statusCode ?? 0)
  }
  const sent: ClientRequest = url.startsWith('https:')
    ? requestSecure(url, { ...options, ...(ca === undefined ? {} : { ca }) }, onResponse)
    : requestPlain(url, options, onResponse)
  sent.on('timeout', () => sent.destroy(new Error(`no answer within ${probeTimeoutMs} ms`)))
  sent.on('error', reject)
  sent.end()
  return promise
}

/** True once something listens on that Unix socket; rejects with the reason while nothing does. */
export async function probeSocket(path: string): Promise<true> {
  const { promise, resolve, reject } = Promise.withResolvers<true>()
  const socket = connect(path)
  socket.once('connect', () => resolve(true))
  socket.once('error', reject)
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}
