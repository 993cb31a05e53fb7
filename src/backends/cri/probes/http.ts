import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { errorMessage } from '../../../model/errors.ts'
import { dialSentence, joinHostPort, mostOutputBytes, type ProbeOutcome } from './probe-outcome.ts'

export interface HttpProbe {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly timeoutMs: number
}

interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

const mostRedirects = 10
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * A GET whose status is 200 to 399. Redirects are followed within the same host name; one that leads elsewhere counts
 * as success, with a warning. Certificates are not checked: the Pod proves nothing to its own node. kubelet's rules.
 */
export async function httpProbe(probe: HttpProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const start = new URL(`${probe.scheme}://${joinHostPort(probe.host, probe.port)}${requestPath(probe.path)}`)
  const deadline = AbortSignal.timeout(probe.timeoutMs)
  const either = AbortSignal.any([signal, deadline])
  let url = start
  try {
    for (let hops = 0; ; hops += 1) {
      const answer = await get(url, probe, either)
      const { status, location, body } = answer
      const target = redirects.has(status) && location !== undefined ? new URL(location, url) : undefined
      if (!target) return conclude(answer)
      if (target.hostname !== start.hostname) return redirectWarning(body)
      if (hops + 1 >= mostRedirects)
        return { result: 'failure', output: `Get "${target.href}": stopped after 10 redirects` }
      url = target
    }
  } catch (error) {
    const told = deadline.aborted
      ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
      : error instanceof Error
        ? dialSentence(error, url.host)
        : errorMessage(error)
    return { result: 'failure', output: `Get "${url.href}": ${told}` }
  }
}

function conclude({ status, body }: Answer): ProbeOutcome {
  if (status >= 200 && status < 300) return { result: 'success' }
  if (status >= 300 && status < 400) return redirectWarning(body)
  // Without the body: it may hold what events should not show (kubernetes issue 99425).
  return { result: 'failure', output: `HTTP probe failed with statuscode: ${status}` }
}

function redirectWarning(body: string): ProbeOutcome {
  return { result: 'warning', output: `Probe terminated redirects, Response body: ${body}` }
}

function get(url: URL, probe: HttpProbe, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    // No agent: a connection kept from before would not show that new ones are refused.
    const options = { agent: false as const, rejectUnauthorized: false, headers: headers(probe), signal }
    const outgoing = send(url, options, (incoming) => {
      readBody(incoming).then(
        (body) => {
          resolve({ status: incoming.statusCode ?? 0, location: incoming.headers.location, body })
          outgoing.destroy()
        },
        (error: unknown) => reject(error as Error),
      )
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Of the same name several may be sent; `User-Agent` and `Accept` have defaults; an empty `Accept` is left out. */
function headers(probe: HttpProbe): Record<string, string | string[]> {
  const byName = new Map<string, { name: string; values: string[] }>()
  for (const { name, value } of probe.headers) {
    const entry = byName.get(name.toLowerCase()) ?? { name, values: [] }
    entry.values.push(value)
    byName.set(name.toLowerCase(), entry)
  }
  // Applications recognise probes by `kube-probe/`.
  if (!byName.has('user-agent')) byName.set('user-agent', { name: 'User-Agent', values: ['kube-probe/1.37'] })
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
