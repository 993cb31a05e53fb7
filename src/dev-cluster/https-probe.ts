import { request } from 'node:https'

export interface HttpsProbe {
  readonly host: string
  readonly port: number
  readonly path: string
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string
}

const probeTimeoutMs = 2_000

/** The status code of a GET, for health checks of components that are not the API server. */
export async function probeHttps(probe: HttpsProbe, signal: AbortSignal): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const sent = request({
    host: probe.host,
    port: probe.port,
    path: probe.path,
    ca: probe.ca,
    agent: false,
    timeout: probeTimeoutMs,
    signal,
  })
  sent.on('response', (response) => {
    response.resume()
    resolve(response.statusCode ?? 0)
  })
  sent.on('timeout', () => sent.destroy(new Error(`no answer within ${probeTimeoutMs} ms`)))
  sent.on('error', reject)
  sent.end()
  return promise
}
