import type { Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import { peerOf } from './peer.ts'

export interface ConnectionLimits {
  /** Until the TLS handshake is done. */
  readonly handshakeMs: number
  /** From its beginning until a request has been allowed: header, body and answer of all before that included. */
  readonly unknownMs: number
  readonly mostUnknownPerPeer: number
  readonly mostUnknown: number
  readonly mostKnown: number
}

/**
 * Kubelet has no such limits: whoever reaches its port can use up its file descriptors. A tenant's Pod may reach ours.
 * The times are for the slowest honest client: a handshake is two round trips, a first request waits for two reviews.
 * The header of a request may have 1 MiB, as kubelet's: 256 times that is what strangers can make us hold.
 * One peer gets half of the places, so that the API server, which has another address, always finds one. Known ones are
 * held to what a process may have open (4096 is the usual hard limit of old systems; exec takes two of them).
 */
export const connectionLimits: ConnectionLimits = {
  handshakeMs: 10_000,
  unknownMs: 30_000,
  mostUnknownPerPeer: 128,
  mostUnknown: 256,
  mostKnown: 2048,
}

/** Why a connection was closed; a label of a metric. */
export type ConnectionRefusal = 'handshake_timeout' | 'unknown_timeout' | 'crowded_out' | 'full'

/** One that has been let in. */
export interface GuardedConnection {
  handshakeDone(): void
  /** It belongs to somebody who may ask something here: no longer counted among strangers. False: no room, it is closed. */
  known(): boolean
}

interface Stranger {
  readonly peer: string
  readonly close: (why: ConnectionRefusal) => void
}

/**
 * Open connections of the node APIs, and for how long a stranger may have one. When there are too many strangers the
 * oldest of the peer that has most goes, not the newest: an honest client needs its place for milliseconds, a flood
 * wants to keep it. So it also gets through when it shares its address with the flood.
 */
export class ConnectionGate {
  readonly #limits: ConnectionLimits
  readonly #clock: Pick<Clock, 'timer'>
  /** By peer, the oldest first. */
  readonly #strangers = new Map<string, Set<Stranger>>()
  #unknown = 0
  #known = 0

  constructor({
    clock,
    limits = connectionLimits,
  }: {
    readonly clock: Pick<Clock, 'timer'>
    readonly limits?: ConnectionLimits
  }) {
    this.#clock = clock
    this.#limits = limits
  }

  get counts(): { readonly unknown: number; readonly known: number } {
    return { unknown: this.#unknown, known: this.#known }
  }

  enter(socket: Socket, onRefusal: (why: ConnectionRefusal) => void): GuardedConnection {
    const { handshakeMs, unknownMs, mostKnown } = this.#limits
    const close = (why: ConnectionRefusal): void => {
      leave()
      onRefusal(why)
      socket.destroy()
    }
    const stranger: Stranger = { peer: peerOf(socket.remoteAddress), close }
    let state: 'unknown' | 'known' | 'gone' = 'unknown'
    const cancelHandshake = this.#clock.timer(handshakeMs, () => close('handshake_timeout'))
    const cancelUnknown = this.#clock.timer(unknownMs, () => close('unknown_timeout'))
    const leaveStrangers = (): void => {
      cancelHandshake()
      cancelUnknown()
      this.#remove(stranger)
    }
    const leave = (): void => {
      if (state === 'unknown') leaveStrangers()
      if (state === 'known') this.#known -= 1
      state = 'gone'
    }
    socket.once('close', leave)
    this.#add(stranger)
    return {
      handshakeDone: cancelHandshake,
      known: () => {
        if (state !== 'unknown') return state === 'known'
        if (this.#known >= mostKnown) {
          close('full')
          return false
        }
        leaveStrangers()
        this.#known += 1
        state = 'known'
        return true
      },
    }
  }

  #add(stranger: Stranger): void {
    const { mostUnknown, mostUnknownPerPeer } = this.#limits
    const ofPeer = this.#strangers.get(stranger.peer) ?? new Set()
    if (ofPeer.size >= mostUnknownPerPeer) oldestOf(ofPeer)?.close('crowded_out')
    else if (this.#unknown >= mostUnknown) oldestOf(this.#mostNumerous())?.close('crowded_out')
    // After the closing: that takes the peer off the map with its last connection.
    this.#strangers.set(stranger.peer, ofPeer)
    ofPeer.add(stranger)
    this.#unknown += 1
  }

  #remove(stranger: Stranger): void {
    const ofPeer = this.#strangers.get(stranger.peer)
    if (!ofPeer?.delete(stranger)) return
    this.#unknown -= 1
    if (ofPeer.size === 0) this.#strangers.delete(stranger.peer)
  }

  #mostNumerous(): ReadonlySet<Stranger> {
    let most: ReadonlySet<Stranger> = new Set()
    for (const strangers of this.#strangers.values()) if (strangers.size > most.size) most = strangers
    return most
  }
}

function oldestOf(strangers: ReadonlySet<Stranger>): Stranger | undefined {
  return strangers.values().next().value
}
