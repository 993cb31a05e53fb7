import { beforeEach, expect, test } from 'vitest'
import { ServiceAccountTokens } from '../../../../src/backends/cri/volumes/service-account-tokens.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'

const never = new AbortController().signal
let sources: FakeSources
let clock: FakeClock

beforeEach(() => {
  sources = new FakeSources()
  clock = new FakeClock()
})

/** In how many seconds a token of that life is due. */
async function dueSeconds(lifeSeconds: number, random: number): Promise<number> {
  sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + lifeSeconds * 1000 }
  const tokens = new ServiceAccountTokens(sources, clock, () => random)
  await tokens.current({ audience: '', expirationSeconds: lifeSeconds }, never)
  return ((tokens.dueAtMs ?? 0) - clock.wallMs()) / 1000
}

test('a token is due after four fifths of its life, up to ten seconds early', async () => {
  expect(await dueSeconds(600, 0)).toBe(480)
  expect(await dueSeconds(600, 0.5)).toBe(475)
  expect(await dueSeconds(3600, 0.9)).toBe(2871)
})

test('a token of a year is due after a day, up to ten seconds early', async () => {
  expect(await dueSeconds(365 * 86_400, 0)).toBe(86_400)
  expect(await dueSeconds(365 * 86_400, 0.5)).toBe(86_395)
})

test('a token that is due is replaced once, and then kept again', async () => {
  const request = { audience: 'vault', expirationSeconds: 600 }
  const tokens = new ServiceAccountTokens(sources, clock, () => 0.5)
  sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 600_000 }
  expect(await tokens.current(request, never)).toBe('one')
  await clock.advance(474_999)
  sources.nextToken = { token: 'two', expiresAtMs: clock.wallMs() + 600_000 }
  expect(await tokens.current(request, never)).toBe('one')
  await clock.advance(1)
  expect(await tokens.current(request, never)).toBe('two')
  expect(await tokens.current(request, never)).toBe('two')
  expect(sources.tokenRequests).toEqual([request, request])
})
