import { expect, it } from 'vitest'
import { tokenExpiryMs } from '../../src/kubelet-api/token-expiry.ts'

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

it.each([
  [
    'its claim exp, in seconds',
    `${part({ alg: 'ES256' })}.${part({ exp: 1_800_000_000 })}.c2ln`,
    1_800_000_000_000,
  ],
  ['never, when it has none', `${part({})}.${part({ sub: 'x' })}.c2ln`, Infinity],
  ['never, when that is no number', `${part({})}.${part({ exp: 'soon' })}.c2ln`, Infinity],
  ['never, when its claims are nothing', `${part({})}.${part(null)}.c2ln`, Infinity],
  ['never, when it is no JWT', 'abc.def', Infinity],
  ['never, when it is one word', 'good', Infinity],
])('a token runs out at %s', (_what, token, expiresAtMs) => {
  expect(tokenExpiryMs(token)).toBe(expiresAtMs)
})
