import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'
import type { PemPair } from '../../model/pem-pair.ts'
import { statedSubject, type CertificateSubject } from './subject.ts'

/** A certificate that is had, as far as its renewal needs to know it. */
export interface HeldCertificate {
  readonly pair: PemPair
  readonly subject: CertificateSubject
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Throws when it is none. */
export function heldCertificate(pair: PemPair): HeldCertificate {
  const certificate = new X509Certificate(pair.cert)
  return {
    pair,
    subject: statedSubject(certificate.subjectName, certificate.extensions),
    notBeforeMs: certificate.notBefore.getTime(),
    notAfterMs: certificate.notAfter.getTime(),
  }
}

/** Whether it names all that is wanted. It may name more: an address that is gone is no reason to ask anew. */
export function satisfies(held: CertificateSubject, wanted: CertificateSubject): boolean {
  return (
    held.commonName === wanted.commonName &&
    includesAll(held.organizations, wanted.organizations) &&
    includesAll(held.dnsNames, wanted.dnsNames) &&
    includesAll(held.ipAddresses, wanted.ipAddresses)
  )
}

function includesAll(have: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((one) => have.includes(one))
}

/**
 * When it is to be renewed, wall time: after 70 to 90 % of its life, as kubelet does, so that nodes that came together
 * do not renew together. `random` in [0, 1).
 */
export function renewalMs(
  { notBeforeMs, notAfterMs }: Pick<HeldCertificate, 'notBeforeMs' | 'notAfterMs'>,
  random: number,
): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) * (0.7 + 0.2 * random)
}
