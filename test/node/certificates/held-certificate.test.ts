import fc from 'fast-check'
import { expect, it } from 'vitest'
import { selfSignedCertificate } from '../../../src/kubelet-api/self-signed.ts'
import { heldCertificate, renewalMs, satisfies } from '../../../src/node/certificates/held-certificate.ts'
import { servingSubject } from '../../../src/node/certificates/subject.ts'
import { fakeEpochMs } from '../../support/fake-clock.ts'

it('is read off its PEM', async () => {
  const addresses = ['10.0.0.5', 'fd00::5']
  const pair = await selfSignedCertificate({
    nodeName: 'burst-0',
    addresses,
    nowMs: fakeEpochMs,
    lifeMs: 1e9,
  })
  const held = heldCertificate(pair)
  expect(held).toMatchObject({
    pair,
    subject: servingSubject('burst-0', addresses),
    notAfterMs: fakeEpochMs + 1e9,
  })
  expect(() => heldCertificate({ ...pair, cert: 'nonsense' })).toThrow()
})

it('is enough as long as it names all that is wanted', () => {
  const held = servingSubject('burst-0', ['10.0.0.5', '10.0.0.6'])
  expect(satisfies(held, servingSubject('burst-0', ['10.0.0.5']))).toBe(true)
  expect(satisfies(held, servingSubject('burst-0', ['10.0.0.7']))).toBe(false)
  expect(satisfies(held, servingSubject('burst-1', ['10.0.0.5']))).toBe(false)
})

it('is renewed between 70 and 90 % of its life', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.999_999, noNaN: true }), (random) => {
      const dueMs = renewalMs({ notBeforeMs: 1_000, notAfterMs: 2_000 }, random)
      expect(dueMs).toBeGreaterThanOrEqual(1_700)
      expect(dueMs).toBeLessThanOrEqual(1_900)
    }),
  )
})
