import { Agent, request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { DoorCredential } from './door-credentials.ts'

/** Where a node's API is, and what signs it. */
export interface Door {
  readonly host: string
  readonly port: number
  readonly ca: string
}

/** Something that one asks a kubelet for. */
export interface DoorQuestion {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** What the connection is to change to, and the protocol within. */
  readonly upgrade?: { readonly to: 'websocket' | 'SPDY/3.1'; readonly protocol: string }
}

export interface DoorAnswer {
  readonly status: number
  /** Of a changed connection: nothing. */
  readonly body: string
}

function upgradeHeaders({ to, protocol }: NonNullable<DoorQuestion['upgrade']>): Record<string, string> {
  const change = { Connection: 'Upgrade', Upgrade: to }
  if (to !== 'websocket') return { ...change, 'X-Stream-Protocol-Version': protocol }
  return {
    ...change,
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': protocol,
  }
}

/** Everything that a kubelet is asked for about a container and a node. The command leaves `/tmp/forged` behind. */
export function doorQuestions(pod: { readonly namespace: string; readonly name: string }): DoorQuestion[] {
  const at = `${pod.namespace}/${pod.name}`
  const exec = `/exec/${at}/main?command=touch&command=/tmp/forged&output=1&error=1`
  const attach = `/attach/${at}/main?input=1&output=1`
  const get = (path: string): DoorQuestion => ({ name: path, method: 'GET', path })
  const stream = (name: string, path: string, spdyProtocol = 'v4.channel.k8s.io'): DoorQuestion[] => [
    {
      name: `${name} by WebSocket`,
      method: 'GET',
      path,
      upgrade: { to: 'websocket', protocol: 'v4.channel.k8s.io' },
    },
    { name: `${name} by SPDY`, method: 'POST', path, upgrade: { to: 'SPDY/3.1', protocol: spdyProtocol } },
  ]
  return [
    ...stream('exec', exec),
    { name: 'run', method: 'POST', path: `/run/${at}/main?cmd=touch%20/tmp/forged` },
    ...stream('attach', attach),
    ...stream('port-forward', `/portForward/${at}?port=80`, 'portforward.k8s.io'),
    { name: 'logs', method: 'GET', path: `/containerLogs/${at}/main` },
    ...['/pods', '/runningpods/', '/stats/summary', '/configz', '/healthz', '/logs/'].map(get),
    ...['/metrics', '/metrics/cadvisor', '/metrics/resource'].map(get),
  ]
}

/** One connection each, as a caller has who tries. */
export async function askDoor(
  { host, port, ca }: Door,
  { method, path, upgrade }: DoorQuestion,
  { token, identity, headers }: DoorCredential,
  signal: AbortSignal,
): Promise<DoorAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<DoorAnswer>()
  const call = httpsRequest({
    host,
    port,
    path,
    method,
    signal,
    agent: new Agent({ keepAlive: false, ca, ...identity }),
    headers: {
      ...(upgrade && upgradeHeaders(upgrade)),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
  })
  const tell = async (answer: IncomingMessage): Promise<void> => {
    const body = Buffer.concat((await answer.toArray()) as Buffer[]).toString()
    resolve({ status: answer.statusCode ?? 0, body })
  }
  call.on('response', (answer) => void tell(answer).catch(reject))
  call.on('upgrade', (answer, socket) => {
    socket.destroy()
    resolve({ status: answer.statusCode ?? 0, body: '' })
  })
  call.on('error', reject)
  call.end()
  return await promise
}
