import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { PemConverter, Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { SpillwayError } from '../../../model/errors.ts'

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]) }

/** What `keyType` may say (pkg/kubelet/podcertificate). */
const algorithms = {
  RSA3072: { ...rsa, modulusLength: 3072 },
  RSA4096: { ...rsa, modulusLength: 4096 },
  ECDSAP256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  ECDSAP384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  ECDSAP521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  ED25519: { name: 'Ed25519' },
} as const

export interface KeyAndProof {
  /** PKCS #8, PEM. */
  readonly keyPem: string
  /** A request (PKCS #10, DER) that says nothing but the public key, signed by the private one. */
  readonly stubRequest: Buffer
}

/** A new key, and the proof that we have it. Rejected: a type of key that is not known here. */
export async function newKeyAndProof(keyType: string): Promise<KeyAndProof> {
  const signingAlgorithm = Object.entries(algorithms).find(([name]) => name === keyType)?.[1]
  if (!signingAlgorithm) {
    const allowed = Object.keys(algorithms).join(', ')
    throw new SpillwayError('Rejected', `podCertificate.keyType is "${keyType}"; allowed: ${allowed}`)
  }
  const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const request = await Pkcs10CertificateRequestGenerator.create({ signingAlgorithm, keys })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    keyPem: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    stubRequest: Buffer.from(request.rawData),
  }
}
