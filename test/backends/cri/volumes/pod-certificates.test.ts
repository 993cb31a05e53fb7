import 'reflect-metadata'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { beforeEach, describe, expect, it } from 'vitest'
import { PodCertificates } from '../../../../src/backends/cri/volumes/pod-certificates.ts'
import type { PodCertificateRequest } from '../../../../src/model/kubernetes.ts'
import type { PodHappening } from '../../../../src/backends/backend.ts'
import { FakeClock, fakeEpochMs } from '../../../support/fake-clock.ts'
import { FakeSources } from '../fake-sources.ts'

const never = new AbortController().signal
const projection = { signerName: 'example.com/mesh', keyType: 'ED25519', credentialBundlePath: 'bundle.pem' }
const hourMs = 3_600_000
let sources: FakeSources
let clock: FakeClock
let happenings: PodHappening[]
let random: number
let certificates: PodCertificates

beforeEach(() => {
  sources = new FakeSources()
  clock = new FakeClock()
  happenings = []
  random = 0
  certificates = new PodCertificates({
    sources,
    clock,
    random: () => random,
    tell: (happening) => happenings.push(happening),
  })
})

function current(place = 'certs/0') {
  return certificates.current(place, projection, never)
}

function answer(name: string, status: PodCertificateRequest['status']): void {
  sources.certificateRequests.set(name, {
    metadata: { namespace: 'shop', name },
    ...({} as Pick<PodCertificateRequest, 'spec'>),
    ...(status && { status }),
  })
}

function chain(text: string): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString('base64')}\n-----END CERTIFICATE-----\n`
}

/** From now on good for an hour, to be renewed after a half. */
function issue(name: string, text: string): void {
  const nowMs = clock.wallMs()
  answer(name, {
    conditions: [{ type: 'Issued', status: 'True' }],
    certificateChain: chain(text),
    beginRefreshAt: new Date(nowMs + hourMs / 2).toISOString(),
    notAfter: new Date(nowMs + hourMs).toISOString(),
  })
}

const notYet = 'credential bundle is not issued yet'

describe('a certificate of a Pod', () => {
  it('is asked for once, waited for, and then there with the key that was proven', async () => {
    await expect(current()).rejects.toThrow(notYet)
    await expect(current()).rejects.toThrow(notYet)
    expect(sources.wantedCertificates).toHaveLength(1)
    issue('req-1', 'leaf')
    const { key, chain: written } = await current()
    expect(String(written)).toBe(chain('leaf'))
    const [wanted] = sources.wantedCertificates
    const proven = new Pkcs10CertificateRequest(new Uint8Array(wanted!.stubRequest)).publicKey.rawData
    const own = createPublicKey(createPrivateKey(String(key))).export({ type: 'spki', format: 'der' })
    expect(Buffer.from(proven)).toEqual(own)
  })

  it('passes on what its author tells the signer', async () => {
    const told = { maxExpirationSeconds: 7200, userAnnotations: { 'example.com/team': 'shop' } }
    await expect(certificates.current('certs/0', { ...projection, ...told }, never)).rejects.toThrow(notYet)
    expect(sources.wantedCertificates[0]).toMatchObject({ signerName: 'example.com/mesh', ...told })
  })

  it('is another for each source that asks', async () => {
    await expect(current('certs/0')).rejects.toThrow(notYet)
    await expect(current('certs/1')).rejects.toThrow(notYet)
    expect(sources.wantedCertificates).toHaveLength(2)
  })

  it('is written bare, whatever the signer put between', async () => {
    await expect(current()).rejects.toThrow(notYet)
    issue('req-1', 'leaf')
    const { status } = sources.certificateRequests.get('req-1') ?? {}
    status!.certificateChain = `leaf:\n${chain('leaf')}root:\n${chain('root')}`
    expect(String((await current()).chain)).toBe(chain('leaf') + chain('root'))
  })
})

describe('renewal', () => {
  beforeEach(async () => {
    random = 0.5
    await expect(current()).rejects.toThrow(notYet)
    issue('req-1', 'first')
    await current()
  })

  it('is due when the signer says, up to five minutes later', () => {
    expect(certificates.dueAtMs).toBe(fakeEpochMs + hourMs / 2 + 150_000)
  })

  it('makes a new key, and the old pair stays until the new one is there', async () => {
    const before = await current()
    await clock.advance(hourMs / 2 + 150_000)
    expect(await current()).toEqual(before)
    expect(sources.wantedCertificates).toHaveLength(2)
    expect(certificates.dueAtMs).toBeUndefined()
    issue('req-2', 'second')
    const after = await current()
    expect(String(after.chain)).toBe(chain('second'))
    expect(String(after.key)).not.toBe(String(before.key))
  })

  it('is told once when overdue, and once when it came too late', async () => {
    await clock.advance(hourMs / 2 + 150_000 + 600_000)
    await current()
    await current()
    expect(happenings.map(({ reason }) => reason)).toEqual(['CertificateOverdueForRefresh'])
    await clock.advance(hourMs)
    await current()
    await current()
    expect(happenings.slice(1)).toEqual([
      { type: 'Warning', reason: 'CertificateExpired', message: 'PodCertificate expired' },
    ])
  })
})

describe('a signer', () => {
  it.each([
    ['Denied', 'was denied', 'denied'],
    ['Failed', 'failed', 'failed'],
  ])('that says %s is told to the Pod once, and not asked again', async (type, was, state) => {
    await expect(current()).rejects.toThrow(notYet)
    answer('req-1', { conditions: [{ type, status: 'True', reason: 'Policy', message: 'not you' }] })
    const sentence = `PodCertificateRequest was permanently ${state}: reason="Policy" message="not you"`
    await expect(current()).rejects.toThrow(sentence)
    await expect(current()).rejects.toThrow(sentence)
    const message = `PodCertificateRequest shop/req-1 ${was}, reason="Policy", message="not you"`
    expect(happenings).toEqual([{ type: 'Warning', reason: type, message }])
    expect(sources.wantedCertificates).toHaveLength(1)
    expect(certificates.dueAtMs).toBeUndefined()
  })

  it('is asked again when the request is gone for ten minutes and some', async () => {
    random = 0.5
    await expect(current()).rejects.toThrow(notYet)
    await clock.advance(600_000 + 149_999)
    await expect(current()).rejects.toThrow(notYet)
    expect(sources.wantedCertificates).toHaveLength(1)
    await clock.advance(1)
    await expect(current()).rejects.toThrow(notYet)
    expect(sources.wantedCertificates).toHaveLength(2)
  })
})
