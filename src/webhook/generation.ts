// @peculiar/x509 resolves its parts by decorators and asks for this first.
import 'reflect-metadata'
import { webcrypto, X509Certificate as NodeCertificate } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { PemPair } from '../model/pem-pair.ts'

/**
 * An authority and the one certificate that it has signed. Its key is thrown away with that: nobody can ever sign
 * another that the API server would take, and both end on the same day.
 */
export interface Generation {
  /** Certificate, authority and the certificate's key, as they are kept in a file. */
  readonly pair: PemPair
  /** The authority's certificate, PEM: for `caBundle`. */
  readonly authority: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Whether it is good for that IP address. */
  covers(address: string): boolean
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const lifeMs = 365 * 24 * 3_600_000
// Clocks of servers differ, and one that was paused runs behind.
const backdatedMs = 3_600_000

export async function makeGeneration(address: string, nowMs: number): Promise<Generation> {
  const [authorityKeys, keys] = await Promise.all([makeKeys(), makeKeys()])
  const validity = { notBefore: new Date(nowMs - backdatedMs), notAfter: new Date(nowMs + lifeMs) }
  const authority = await X509CertificateGenerator.createSelfSigned({
    // Authorities in one bundle are told apart by their names and key identifiers.
    name: [{ CN: [`spillway-webhook-${new Date(nowMs).toISOString()}`] }],
    ...validity,
    keys: authorityKeys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  })
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: ['spillway-webhook'] }],
    issuer: authority.subjectName,
    ...validity,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      await AuthorityKeyIdentifierExtension.create(authority),
      // Go takes no common name for an address.
      new SubjectAlternativeNameExtension([{ type: 'ip', value: address }]),
    ],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return readGeneration({
    cert: `${certificate.toString('pem')}\n${authority.toString('pem')}\n`,
    key: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  })
}

/** One that was kept. Throws when it is none. */
export function readGeneration(pair: PemPair): Generation {
  const [leaf, authority] = pair.cert.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
  if (leaf === undefined || authority === undefined) throw new Error('certificate or authority is missing')
  const certificate = new NodeCertificate(leaf)
  return {
    pair,
    authority: `${authority}\n`,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    covers: (address) => certificate.checkIP(address) !== undefined,
  }
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}
