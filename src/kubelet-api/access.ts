import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { Authenticator, Authorizer, Credentials, User } from './auth.ts'
import { peerOf } from './peer.ts'
import { requestAttributes } from './request-attributes.ts'

export interface AccessOptions {
  readonly nodeName: string
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer
  readonly log: Log
  readonly clock: Pick<Clock, 'wallMs'>
}

/** Undefined: allowed. Else kubelet's answer. */
export type Refusal = { readonly status: 401 | 403 | 429 | 500; readonly message: string } | undefined

/** Whether a request may go on: nobody without a name, and only who may do it to this Node. */
export async function checkAccess(
  request: IncomingMessage,
  path: string,
  options: AccessOptions,
  signal: AbortSignal,
): Promise<Refusal> {
  const { authenticator, log, clock } = options
  let user: User | undefined
  try {
    user = await authenticator.authenticate(credentials(request, clock.wallMs()), signal)
  } catch (error) {
    // Not logged: a flood of tokens would be one of lines. The metric tells.
    if (hasCode(error, 'Busy')) return { status: 429, message: errorMessage(error) }
    log.error({ error: errorMessage(error) }, 'node API request not authenticated')
  }
  if (!user) return { status: 401, message: 'Unauthorized' }
  return await authorize(user, { method: request.method ?? '', path }, options, signal)
}

async function authorize(
  user: User,
  { method, path }: { readonly method: string; readonly path: string },
  { nodeName, authorizer, log }: AccessOptions,
  signal: AbortSignal,
): Promise<Refusal> {
  const { verb, subresources } = requestAttributes(method, path)
  const who = `user=${user.username}, verb=${verb}, resource=nodes`
  for (const subresource of subresources) {
    try {
      if (await authorizer.isAllowed({ user, nodeName, verb, subresource }, signal)) return undefined
    } catch (error) {
      log.error(
        { user: user.username, verb, subresource, error: errorMessage(error) },
        'node API request not authorized',
      )
      return { status: 500, message: `Authorization error (${who}, subresource=${subresource})` }
    }
  }
  return { status: 403, message: `Forbidden (${who}, subresource(s)=[${subresources.join(' ')}])\n` }
}

function credentials(request: IncomingMessage, nowMs: number): Credentials {
  const bearerToken = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  const certificate = clientCertificate(request, nowMs)
  const peer = peerOf(request.socket.remoteAddress)
  return { peer, ...(certificate && { certificate }), ...(bearerToken && { bearerToken }) }
}

function clientCertificate({ socket }: IncomingMessage, nowMs: number): Credentials['certificate'] {
  // `authorized`: the chain ends at the client CA, and was valid for a client when the connection began.
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const peer = socket.getPeerCertificate()
  // With each request, as kubelet does: a connection outlives the certificate that it began with, and so does a TLS
  // session, which a client may resume for ever.
  if (!(nowMs <= Date.parse(peer.valid_to))) return undefined
  const subject = peer.subject as Record<string, string | string[] | undefined> | undefined
  const commonName = [subject?.['CN'] ?? ''].flat()[0]
  if (!commonName) return undefined
  return { commonName, organizations: [subject?.['O'] ?? []].flat() }
}
