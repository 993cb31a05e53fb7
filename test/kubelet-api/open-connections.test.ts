import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectionLimits } from '../../src/kubelet-api/connection-gate.ts'
import { reviewLimits } from '../../src/kubelet-api/review-budget.ts'
import { closed, dialTcp, dialTls, type Door } from '../support/hostile-client.ts'
import { openNodeApi, type NodeApiBench } from '../support/node-api.ts'
import { until } from '../support/until.ts'

const { signal } = new AbortController()
let bench: NodeApiBench
let door: Door

beforeEach(async () => {
  bench = await openNodeApi()
  door = { port: bench.port, ca: bench.serving.cert }
})

afterEach(() => bench.stop())

/** Once the node has seen so many strangers. */
async function strangers(count: number): Promise<void> {
  await until(`${count} strangers`, async () => bench.door.connections.counts.unknown === count, signal)
}

async function refusals(reason: string): Promise<number> {
  bench.reviews.allowed = new Set(['metrics', 'proxy'])
  const { body } = await bench.ask('/metrics', { identity: bench.client })
  return Number(
    new RegExp(`^spillway_node_api_refused_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(body)?.[1],
  )
}

describe('a connection of a stranger is ended', () => {
  it('when it does not begin with TLS in time', async () => {
    const socket = await dialTcp(door)
    await strangers(1)
    await bench.clock.advance(connectionLimits.handshakeMs)
    await closed(socket)
    expect(await refusals('handshake_timeout')).toBe(1)
  })

  it.each([
    ['asks nothing', ''],
    ['does not come to the end of its header', 'GET /healthz HTTP/1.1\r\nHost: node\r\nX-Slow: '],
    [
      'was refused and sends on',
      'POST /run/a/b/c HTTP/1.1\r\nHost: node\r\n\r\nGET /healthz HTTP/1.1\r\nHost: node\r\nX-Slow: ',
    ],
  ])('when it %s', async (_what, text) => {
    const socket = await dialTls(door)
    socket.write(text)
    // Of the two times that it has, the one for the handshake is over with.
    await until(
      'the handshake',
      async () => bench.door.connections.counts.unknown === 1 && bench.clock.pending === 1,
      signal,
    )
    await bench.clock.advance(connectionLimits.unknownMs)
    await closed(socket)
    expect(await refusals('unknown_timeout')).toBe(1)
  })

  it('once it is answered, when a body is to follow that nobody reads', async () => {
    const socket = await dialTls(door)
    socket.write('POST /run/a/b/c HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000000\r\n\r\nonly this')
    const answer = (await socket.toArray()).join('')
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
    expect(answer).toMatch(/^Connection: close\r$/m)
  })

  it('when it asks on and on without reading an answer', async () => {
    // No answer, so that none of them is done.
    bench.reviews.api.create = () => new Promise(() => undefined)
    const socket = await dialTls(door)
    socket.write('GET /healthz HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer x\r\n\r\n'.repeat(9))
    await closed(socket)
  })
})

describe('many that say nothing', () => {
  it('keep nobody from an answer, and make room for one another', async () => {
    const silent = await Promise.all(Array.from({ length: 200 }, () => dialTcp(door)))
    await strangers(connectionLimits.mostUnknownPerPeer)
    await strangers(connectionLimits.mostUnknownPerPeer)
    expect(await bench.ask('/healthz', { identity: bench.client })).toMatchObject({ status: 200 })
    expect(await bench.ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
    expect(await refusals('crowded_out')).toBeGreaterThanOrEqual(72)
    // Half-open as they are, those that went away in the handshake are seen to be gone when their time is up.
    for (const socket of silent) socket.destroy()
    await bench.clock.advance(connectionLimits.handshakeMs)
    await strangers(0)
  })
})

describe('forged tokens', () => {
  it('are refused at the cost of a few reviews, and do no harm to a token that is good', async () => {
    expect(await bench.ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
    const statuses: number[] = []
    for (let index = 0; index < 60; index += 1)
      statuses.push((await bench.ask('/exec/shop/web/app', { token: `forged-${index}` })).status)
    const { burst } = reviewLimits
    expect(statuses).toEqual([
      ...Array.from({ length: burst }, () => 401),
      ...Array.from({ length: 60 - burst }, () => 429),
    ])
    const asked = bench.reviews.asked.filter(({ kind }) => kind === 'TokenReview')
    expect(asked).toHaveLength(1 + burst)
    expect(await refusals('reviews')).toBe(60 - burst)
    // Also when its own answer has got old: it is asked about first.
    bench.reviews.allowed = new Set(['proxy'])
    await bench.clock.advance(2 * 60_000)
    for (let index = 0; index < burst; index += 1) await bench.ask('/healthz', { token: `again-${index}` })
    expect(await bench.ask('/healthz', { token: 'other' })).toMatchObject({ status: 429 })
    expect(await bench.ask('/healthz', { token: 'good' })).toMatchObject({ status: 200 })
  })

  it('that come again are not asked about again', async () => {
    for (let index = 0; index < 5; index += 1)
      expect(await bench.ask('/healthz', { token: 'expired' })).toMatchObject({ status: 401 })
    expect(bench.reviews.asked).toHaveLength(1)
  })
})

describe('a refused change of protocol leaves no connection behind', () => {
  const text = 'GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const known = (count: number): Promise<void> =>
    until(`${count} known`, async () => bench.door.connections.counts.known === count, signal)

  it('when its client sends on and then goes', async () => {
    const socket = await dialTls(door, { identity: bench.client })
    socket.write(text)
    await once(socket, 'data')
    await known(1)
    socket.end('frames')
    await known(0)
  })

  it('when its client does not even read the answer', async () => {
    const socket = await dialTls(door, { identity: bench.client })
    socket.write(text)
    await until('an answer', async () => bench.clock.pending === 1, signal)
    await known(1)
    await bench.clock.advance(5_000)
    await known(0)
    socket.destroy()
  })
})

describe('streams', () => {
  const follow = 'GET /containerLogs/shop/web/app?follow=true HTTP/1.1\r\nHost: node\r\n\r\n'
  const exec =
    'POST /exec/shop/web/app?command=sh&output=1 HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n'

  async function ask(text: string): Promise<{ status: string; end: () => void }> {
    const socket = await dialTls(door, { identity: bench.client })
    socket.write(text)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return { status: answer.toString('latin1', 9, 12), end: () => void socket.destroy() }
  }

  it('are so many at once; the place of one that has ended is free again', async () => {
    bench.stop()
    bench = await openNodeApi({ mostStreams: 1 })
    door = { port: bench.port, ca: bench.serving.cert }
    bench.backend.log = () => new PassThrough()
    const first = await ask(follow)
    expect(first.status).toBe('200')
    expect((await ask(follow)).status).toBe('429')
    expect((await ask(exec)).status).toBe('429')
    expect(await refusals('streams')).toBe(2)
    first.end()
    await until('room', async () => (await ask(follow)).status === '200', signal)
  })
})
