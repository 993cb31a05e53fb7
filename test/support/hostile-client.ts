import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { PemPair } from '../../src/model/pem-pair.ts'
import type { HostileRequest } from './hostile-requests.ts'

export interface Door {
  readonly port: number
  readonly ca: string
}

export interface DialOptions {
  readonly identity?: PemPair
  /** Another one of loopback's, so that the server sees another peer. */
  readonly from?: string
}

/** A connection that has not begun its handshake. */
export function dialTcp(
  { port }: Pick<Door, 'port'>,
  { from = '127.0.0.1' }: DialOptions = {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port, localAddress: from }, () => resolve(socket))
    socket.on('error', reject)
  })
}

export function dialTls(
  { port, ca }: Door,
  { identity, from = '127.0.0.1' }: DialOptions = {},
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const below = connectTcp({ host: '127.0.0.1', port, localAddress: from })
    below.on('error', reject)
    const socket = connectTls(
      { socket: below, ca, servername: '', checkServerIdentity: () => undefined, ...identity },
      () => resolve(socket),
    )
    socket.on('error', reject)
    // A crowded-out connection may end without an error.
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** Resolves once the other side has closed it, whichever way. */
export function closed(socket: Socket): Promise<void> {
  socket.resume()
  socket.on('error', () => undefined)
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve()).once('end', () => resolve())
  })
}

/** The status that came back for the first of what was sent, or that the connection was closed. */
export async function send(door: Door, { bytes, answerDue }: HostileRequest): Promise<string> {
  const socket = await dialTls(door).catch(() => undefined)
  if (!socket) return 'closed'
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1', 0, 200)
      const status = /^HTTP\/1\.1 (?!100)(\d{3}) /m.exec(text)?.[1]
      if (status) resolve(status)
    })
    socket.once('close', () => resolve('closed')).once('end', () => resolve('closed'))
    socket.on('error', () => resolve('closed'))
    if (answerDue) socket.write(bytes)
    else socket.end(bytes)
  })
  socket.destroy()
  return answer
}
