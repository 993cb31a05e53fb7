import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { beforeEach, describe, expect, it } from 'vitest'
import { ConnectionGate, type GuardedConnection } from '../../src/kubelet-api/connection-gate.ts'
import { FakeClock } from '../support/fake-clock.ts'

const limits = { handshakeMs: 10, unknownMs: 30, mostUnknownPerPeer: 2, mostUnknown: 3, mostKnown: 1 }

let clock: FakeClock
let gate: ConnectionGate
let refused: string[]

beforeEach(() => {
  clock = new FakeClock()
  gate = new ConnectionGate({ clock, limits })
  refused = []
})

/** What the gate needs of a connection. */
class Line extends EventEmitter {
  readonly remoteAddress: string

  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }

  destroy(): void {
    this.emit('close')
  }
}

function enter(name: string, address: string): { guard: GuardedConnection; line: Line } {
  const line = new Line(address)
  const guard = gate.enter(line as unknown as Socket, (why) => refused.push(`${name}: ${why}`))
  return { guard, line }
}

describe('a stranger', () => {
  it('has its time for the handshake, and some more until it has been allowed something', async () => {
    enter('mute', '10.0.0.1')
    enter('slow', '10.0.0.2').guard.handshakeDone()
    await clock.advance(10)
    expect(refused).toEqual(['mute: handshake_timeout'])
    await clock.advance(20)
    expect(refused).toEqual(['mute: handshake_timeout', 'slow: unknown_timeout'])
    expect(gate.counts).toEqual({ unknown: 0, known: 0 })
    expect(clock.pending).toBe(0)
  })

  it('makes room for the next of its own peer when that has too many', () => {
    for (const name of ['first', 'second', 'third']) enter(name, '10.0.0.1')
    expect(refused).toEqual(['first: crowded_out'])
  })

  it('of the peer with the most makes room for those of others', () => {
    enter('lonely', '10.0.0.1')
    enter('one of two', '10.0.0.2')
    enter('the other', '10.0.0.2')
    enter('new', '10.0.0.3')
    expect(refused).toEqual(['one of two: crowded_out'])
    expect(gate.counts.unknown).toBe(3)
  })
})

describe('who is known', () => {
  it('is left alone, however many strangers come and however long it stays', async () => {
    expect(enter('known', '10.0.0.1').guard.known()).toBe(true)
    for (let index = 0; index < 5; index += 1) enter('stranger', '10.0.0.1')
    await clock.advance(1000)
    expect(refused.filter((line) => line.startsWith('known'))).toEqual([])
    expect(gate.counts).toEqual({ unknown: 0, known: 1 })
  })

  it('is refused when there are too many, and let in when one has gone', () => {
    const first = enter('first', '10.0.0.1')
    first.guard.known()
    expect(enter('second', '10.0.0.1').guard.known()).toBe(false)
    expect(refused).toEqual(['second: full'])
    first.line.destroy()
    expect(enter('third', '10.0.0.1').guard.known()).toBe(true)
  })
})
