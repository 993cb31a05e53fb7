import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { joinHostPort } from './probe-outcome.ts'

/** What a probe or a hook asks for. */
export interface HttpGet {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly headers: readonly HttpHeader[]
  /** `probe` or `lifecycle`: who asks, for the header User-Agent. */
  readonly purpose: 'probe' | 'lifecycle'
}

export interface HttpHeader {
  readonly name: string
  readonly value: string
}

export interface HttpAnswer {
  readonly status: number
  readonly location: string | undefined
  /** No more than its first `mostOutputBytes`. */
  readonly body: string
}

/** How much of an answer or an output is kept for events (kubelet's limit). */
export const mostOutputBytes = 10 * 1024

const mostRedirects = 10
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** The request failed; at which address, after whatever redirects. */
export class HttpGetError extends Error {
  readonly url: URL

  constructor(url: URL, cause: Error) {
    super(cause.message, { cause })
    this.url = url
  }
}

/** There was an answer, and it broke off, or the signal came, before its body had been read. */
export class HttpBodyError extends Error {}

/**
 * One GET. Redirects are followed within the same host name; the answer of one that leads elsewhere is given as it is.
 * Certificates are not checked: the Pod proves nothing to its own node. Rejects with `HttpGetError`.
 */
export async function httpGet(what: HttpGet, signal: AbortSignal): Promise<HttpAnswer> {
  const start = new URL(`${what.scheme}://${joinHostPort(what.host, what.port)}${requestPath(what.path)}`)
  let url = start
  for (let hops = 0; ; hops += 1) {
    const answer = await get(url, what, signal).catch((error: Error) => {
      throw new HttpGetError(url, error)
    })
    const { status, location } = answer
    const target = redirects.has(status) && location !== undefined ? new URL(location, url) : undefined
    if (target?.hostname !== start.hostname) return answer
    if (hops + 1 >= mostRedirects) throw new HttpGetError(target, new Error('stopped after 10 redirects'))
    url = target
  }
}

/**
 * Go takes answers that Node does not: lines that end without a carriage return, as shell scripts write them, a length
 * beside chunks, a header beyond 16 KiB. What is lenient here is only what we read from a Pod, once.
 */
const asGoReads = { insecureHTTPParser: true, maxHeaderSize: 1 << 20 } as const

function get(url: URL, what: HttpGet, signal: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    // No agent: a connection kept from before would not show that new ones are refused.
    const options = {
      agent: false as const,
      rejectUnauthorized: false,
      headers: headers(what),
      signal,
      ...asGoReads,
    }
    const brokenOff = (error: Error): void => reject(new HttpBodyError(error.message, { cause: error }))
    const outgoing = send(url, options, (incoming) => {
      outgoing.off('error', reject).on('error', brokenOff)
      readBody(incoming).then((body) => {
        resolve({ status: incoming.statusCode ?? 0, location: incoming.headers.location, body })
        outgoing.destroy()
      }, brokenOff)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Of the same name several may be sent; `User-Agent` and `Accept` have defaults; an empty `Accept` is left out. */
function headers({ headers: given, purpose }: HttpGet): Record<string, string | string[]> {
  const byName = new Map<string, { name: string; values: string[] }>()
  for (const { name, value } of given) {
    const entry = byName.get(name.toLowerCase()) ?? { name, values: [] }
    entry.values.push(value)
    byName.set(name.toLowerCase(), entry)
  }
  // Applications recognise probes by `kube-probe/`.
  const agent = { name: 'User-Agent', values: [`kube-${purpose}/1.37`] }
  if (!byName.has('user-agent')) byName.set('user-agent', agent)
  const accept = byName.get('accept')
  if (!accept) byName.set('accept', { name: 'Accept', values: ['*/*'] })
  else if (accept.values[0] === '') byName.delete('accept')
  const entries = [...byName.values()].map(({ name, values }) => [
    name,
    values.length === 1 ? values[0] : values,
  ])
  return { ...Object.fromEntries(entries), Connection: 'close' } as Record<string, string | string[]>
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size >= mostOutputBytes) break
  }
  return Buffer.concat(chunks).subarray(0, mostOutputBytes).toString()
}

function requestPath(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}
