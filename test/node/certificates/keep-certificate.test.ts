import 'reflect-metadata'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pkcs10CertificateRequest, X509CertificateGenerator } from '@peculiar/x509'
import { webcrypto } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { CertificateSigningRequest } from '../../../src/model/kubernetes.ts'
import type { PemPair } from '../../../src/model/pem-pair.ts'
import {
  keepCertificate,
  storedCertificate,
  type KeepCertificateOptions,
} from '../../../src/node/certificates/keep-certificate.ts'
import { kubeletServing } from '../../../src/node/certificates/purpose.ts'
import { servingSubject } from '../../../src/node/certificates/subject.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const yearMs = 365 * 24 * 3_600_000

/** A cluster whose signer answers at the second look; the real one is in the journeys. */
class Signer {
  readonly asked: CertificateSigningRequest[] = []
  answer: 'sign' | 'deny' | 'nothing' | 'down' = 'sign'
  readonly #clock: FakeClock
  readonly #keys = webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  #looks = 0

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  readonly api = {
    create: async (_resource: unknown, csr: CertificateSigningRequest) => {
      if (this.answer === 'down') throw new SpillwayError('Unavailable', 'no API server')
      this.asked.push(csr)
      this.#looks = 0
      return { ...csr, metadata: { name: `csr-${this.asked.length}` } }
    },
    get: async () => {
      this.#looks += 1
      const csr = this.asked.at(-1)
      if (!csr || this.#looks < 2 || this.answer === 'nothing') return { spec: csr?.spec }
      if (this.answer === 'deny') {
        const conditions = [{ type: 'Denied', status: 'True', reason: 'WrongNames', message: 'not yours' }]
        return { spec: csr.spec, status: { conditions } }
      }
      return { spec: csr.spec, status: { certificate: await this.#sign(csr) } }
    },
  } as unknown as KeepCertificateOptions['api']

  async #sign({ spec }: CertificateSigningRequest): Promise<string> {
    const request = new Pkcs10CertificateRequest(Buffer.from(spec.request, 'base64').toString())
    const nowMs = this.#clock.wallMs()
    const certificate = await X509CertificateGenerator.create({
      subject: request.subjectName,
      issuer: 'CN=ca',
      notBefore: new Date(nowMs),
      notAfter: new Date(nowMs + yearMs),
      publicKey: request.publicKey,
      signingKey: (await this.#keys).privateKey,
      signingAlgorithm: algorithm,
      extensions: [...request.extensions],
    })
    return Buffer.from(certificate.toString('pem')).toString('base64')
  }
}

let folder: string
let clock: FakeClock
let signer: Signer
let told: PemPair[]
let options: KeepCertificateOptions
let stop: AbortController
let keeping: Promise<void>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-keep-'))
  clock = new FakeClock()
  signer = new Signer(clock)
  told = []
  stop = new AbortController()
  options = {
    file: join(folder, 'node.pem'),
    purpose: kubeletServing,
    subject: servingSubject('burst-0', ['10.0.0.5']),
    api: signer.api,
    onCertificate: (pair) => void told.push(pair),
    clock,
    random: () => 0.5,
    log: silentLog(),
  }
})

afterEach(async () => {
  stop.abort()
  await keeping
  await rm(folder, { recursive: true })
})

function keep(more: Partial<KeepCertificateOptions> = {}): void {
  keeping = keepCertificate({ ...options, ...more }, stop.signal)
}

/** Lets time pass until it is so; real work (keys, files) goes on in between. */
async function until(holds: () => boolean): Promise<void> {
  for (let round = 0; !holds(); round += 1) {
    if (round > 2_000) throw new Error('waited in vain')
    await clock.advance(1_000)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

describe('a certificate that is kept', () => {
  it('is asked for, stored, told of, and found again by the next life of the process', async () => {
    keep()
    await until(() => told.length === 1)
    const [csr] = signer.asked
    expect(csr?.spec).toMatchObject({
      signerName: 'kubernetes.io/kubelet-serving',
      usages: ['digital signature', 'server auth'],
    })
    expect(await readFile(options.file, 'utf8')).toBe(`${told[0]?.cert.trimEnd()}\n${told[0]?.key}`)
    expect((await storedCertificate(options))?.subject.ipAddresses).toEqual(['10.0.0.5'])
    stop.abort()
    await keeping
    stop = new AbortController()
    keep()
    await clock.whenPending(1)
    expect(signer.asked).toHaveLength(1)
  })

  it('is renewed when four fifths of its life are over, with another key', async () => {
    keep()
    await until(() => told.length === 1)
    await clock.advance(0.79 * yearMs)
    expect(signer.asked).toHaveLength(1)
    await clock.advance(0.02 * yearMs)
    await until(() => told.length === 2)
    expect(told[1]?.key).not.toBe(told[0]?.key)
  })

  it('is asked for anew when the node has another address, or when it has run out', async () => {
    keep()
    await until(() => told.length === 1)
    expect(await storedCertificate(options)).toBeDefined()
    const moved = { ...options, subject: servingSubject('burst-0', ['10.0.0.6']) }
    expect(await storedCertificate(moved)).toBeUndefined()
    stop.abort()
    await clock.advance(yearMs)
    expect(await storedCertificate(options)).toBeUndefined()
  })

  it('is asked for again, less and less often, while it is denied or nobody answers', async () => {
    signer.answer = 'deny'
    keep()
    await until(() => signer.asked.length === 3)
    const beganMs = clock.monotonicMs()
    await until(() => signer.asked.length === 8)
    expect(clock.monotonicMs() - beganMs).toBeGreaterThan(120_000)
    expect(told).toEqual([])
    signer.answer = 'sign'
    await until(() => told.length === 1)
  })

  it('comes after all when the API server was away', async () => {
    signer.answer = 'down'
    keep()
    await clock.whenPending(1)
    await clock.advance(10_000)
    signer.answer = 'sign'
    await until(() => told.length === 1)
  })
})
