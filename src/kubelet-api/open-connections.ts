import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { ConnectionGate, ConnectionRefusal, GuardedConnection } from './connection-gate.ts'

// Go answers one request of a connection after the other; Node reads on and holds all of them. No client of a kubelet
// sends a second one before the first is answered, so a few are room enough.
const mostUnanswered = 8

interface OpenConnection {
  readonly guard: GuardedConnection
  unanswered: number
}

/** The connections of one listener: each passes the gate, and all end with `close`. */
export class OpenConnections {
  readonly #gate: ConnectionGate
  readonly #onRefusal: (why: ConnectionRefusal | 'pipelined') => void
  /** Below TLS: those in the handshake are among them. */
  readonly #sockets = new Set<Socket>()
  /** Node does not tell which connection a TLS socket stands on; both have the peer's address and port. */
  readonly #inHandshake = new Map<string, GuardedConnection>()
  readonly #open = new WeakMap<Duplex, OpenConnection>()

  constructor(gate: ConnectionGate, onRefusal: (why: ConnectionRefusal | 'pipelined') => void) {
    this.#gate = gate
    this.#onRefusal = onRefusal
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const from = endOf(socket)
      const guard = this.#gate.enter(socket, this.#onRefusal)
      this.#sockets.add(socket)
      this.#inHandshake.set(from, guard)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        if (this.#inHandshake.get(from) === guard) this.#inHandshake.delete(from)
      })
    })
    server.on('secureConnection', (socket: TLSSocket) => {
      const from = endOf(socket)
      const guard = this.#inHandshake.get(from)
      this.#inHandshake.delete(from)
      // Gone already.
      if (!guard) return void socket.destroy()
      guard.handshakeDone()
      this.#open.set(socket, { guard, unanswered: 0 })
      // The client CA has signed for few, and the API server is one of them.
      if (socket.authorized) guard.known()
    })
  }

  /** Whoever sent the request may do so. False: there is no room for one more such connection, it is closed. */
  allowed({ socket }: IncomingMessage): boolean {
    return this.#open.get(socket)?.guard.known() ?? false
  }

  /** False: one too many on its connection, which is closed. To be told when the answer has been given. */
  begins({ socket }: IncomingMessage): boolean {
    const connection = this.#open.get(socket)
    if (!connection) return false
    connection.unanswered += 1
    if (connection.unanswered <= mostUnanswered) return true
    if (!socket.destroyed) this.#onRefusal('pipelined')
    socket.destroy()
    return false
  }

  answered({ socket }: IncomingMessage): void {
    const connection = this.#open.get(socket)
    if (connection) connection.unanswered -= 1
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
