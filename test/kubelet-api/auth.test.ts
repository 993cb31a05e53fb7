import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openNodeApi, type NodeApiBench } from '../support/node-api.ts'

const minuteMs = 60_000
const path = '/healthz'
let bench: NodeApiBench

beforeEach(async () => {
  bench = await openNodeApi()
})

afterEach(() => bench.stop())

/** The answers while somebody asks every ten seconds, which must not keep alive what is remembered. */
async function statusesFor(durationMs: number, token: string): Promise<number[]> {
  const statuses: number[] = []
  for (let passedMs = 0; passedMs < durationMs; passedMs += 10_000) {
    statuses.push((await bench.ask(path, { token })).status)
    await bench.clock.advance(10_000)
  }
  return statuses
}

describe('what has been taken back', () => {
  it('of tokens is remembered for two minutes at most, however often it is used', async () => {
    expect((await bench.ask(path, { token: 'good' })).status).toBe(200)
    bench.reviews.good.delete('good')
    expect(new Set(await statusesFor(2 * minuteMs, 'good'))).toEqual(new Set([200]))
    expect((await bench.ask(path, { token: 'good' })).status).toBe(401)
  })

  it('of rights is remembered for five minutes at most, however often it is used', async () => {
    expect((await bench.ask(path, { token: 'good' })).status).toBe(200)
    bench.reviews.allowed.clear()
    expect(new Set(await statusesFor(5 * minuteMs, 'good'))).toEqual(new Set([200]))
    expect((await bench.ask(path, { token: 'good' })).status).toBe(403)
  })
})

describe('what runs out', () => {
  it('is a token of which nothing is remembered from its last second on', async () => {
    const exp = (bench.clock.wallMs() + 30_000) / 1000
    const token = `e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.c2ln`
    bench.reviews.good.add(token)
    expect((await bench.ask(path, { token })).status).toBe(200)
    bench.reviews.good.delete(token)
    await bench.clock.advance(29_999)
    expect((await bench.ask(path, { token })).status).toBe(200)
    await bench.clock.advance(1)
    expect((await bench.ask(path, { token })).status).toBe(401)
  })
})
