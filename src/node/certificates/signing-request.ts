import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509'
import { statedSubject, type CertificateSubject, type StatedSubject } from './subject.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A new key, and the request (PKCS #10) for a certificate of it; both PEM. */
export async function newSigningRequest(
  subject: CertificateSubject,
): Promise<{ readonly request: string; readonly key: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const names = [
    ...subject.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...subject.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ]
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [...subject.organizations.map((name) => ({ O: [name] })), { CN: [subject.commonName] }],
    extensions: names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)],
    signingAlgorithm: algorithm,
    keys,
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    request: `${request.toString('pem')}\n`,
    key: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  }
}

/** What a request says; undefined when it is none, or is not signed with the key that it is about. */
export async function readSigningRequest(pem: string): Promise<StatedSubject | undefined> {
  try {
    const request = new Pkcs10CertificateRequest(pem)
    if (!(await request.verify())) return undefined
    return statedSubject(request.subjectName, request.extensions)
  } catch {
    return undefined
  }
}
