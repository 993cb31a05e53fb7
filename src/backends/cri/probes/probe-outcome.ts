import type { Container } from '../../../model/kubernetes.ts'

/** What one probe found. */
export type ProbeOutcome =
  | { readonly result: 'success' }
  /** It succeeds, with something to tell: a redirect that leads elsewhere is not followed. */
  | { readonly result: 'warning'; readonly output: string }
  | { readonly result: 'failure'; readonly output: string }
  /** The probe itself could not be carried out. `state`: what kubelet calls that, when not by its name. */
  | { readonly result: 'unknown'; readonly error: string; readonly state?: 'failure' }

/** The number of a port given by number or by name. Throws kubelet's sentence when the container has no such port. */
export function resolvePort(port: number | string, container: Pick<Container, 'ports'>): number {
  const number = typeof port === 'number' ? port : Number.parseInt(port, 10)
  if (String(number) === String(port)) {
    if (number > 0 && number < 65_536) return number
    throw new Error(`invalid port number: ${number}`)
  }
  const named = container.ports?.find(({ name }) => name === port)
  if (!named) throw new Error(`port ${JSON.stringify(port)} not found`)
  return named.containerPort
}

/** `1.2.3.4:80`, `[fd00::1]:80` */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const goSentences: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connect: connection refused'],
  ['ECONNRESET', 'read: connection reset by peer'],
  ['EHOSTUNREACH', 'connect: no route to host'],
  ['ENETUNREACH', 'connect: network is unreachable'],
  ['ETIMEDOUT', 'i/o timeout'],
])

/** A connection's error in the words that people know from kubelet's events, and search for. */
export function dialSentence(error: Error, address: string): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const known = goSentences.get(code)
  return known ? `dial tcp ${address}: ${known}` : error.message
}
