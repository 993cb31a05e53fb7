// @peculiar/x509 resolves its parts by decorators and asks for this first.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { PemPair } from '../model/pem-pair.ts'
import { ChangingCertificate } from './serving-certificate.ts'

export interface SelfSignedOptions {
  /** The Node's name, a DNS name of the certificate. */
  readonly nodeName: string
  readonly addresses: readonly string[]
  readonly nowMs: number
  readonly lifeMs: number
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
// Clocks of servers differ a little.
const skewMs = 5 * 60_000

// Like kubelet's own; it is made anew at each start.
const ownLifeMs = 365 * 24 * 60 * 60 * 1000

/**
 * What a node serves with when nobody signs for it, or until somebody has: what it has from before, else its own
 * signature.
 */
export async function ownCertificate(
  subject: Pick<SelfSignedOptions, 'nodeName' | 'addresses' | 'nowMs'>,
  held: PemPair | undefined,
): Promise<ChangingCertificate> {
  return new ChangingCertificate(held ?? (await selfSignedCertificate({ ...subject, lifeMs: ownLifeMs })))
}

/** A serving certificate that nobody has signed: enough where the API server does not verify kubelets. */
export async function selfSignedCertificate(options: SelfSignedOptions): Promise<PemPair> {
  const { nodeName, addresses, nowMs, lifeMs } = options
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ O: ['system:nodes'] }, { CN: [`system:node:${nodeName}`] }],
    notBefore: new Date(nowMs - skewMs),
    notAfter: new Date(nowMs + lifeMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: nodeName },
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const lines = pkcs8.match(/.{1,64}/g) ?? []
  const key = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
  return { cert: `${certificate.toString('pem')}\n`, key }
}
