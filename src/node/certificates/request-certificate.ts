import type { KubeApi } from '../../kube/api.ts'
import { certificateSigningRequests } from '../../kube/resources.ts'
import type { Clock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { CertificateSigningRequest } from '../../model/kubernetes.ts'
import type { PemPair } from '../../model/pem-pair.ts'
import type { CertificatePurpose } from './purpose.ts'
import { newSigningRequest } from './signing-request.ts'
import type { CertificateSubject } from './subject.ts'

export interface RequestCertificateOptions {
  /** As whom the request is made. */
  readonly api: Pick<KubeApi, 'create' | 'get'>
  readonly purpose: CertificatePurpose
  readonly subject: CertificateSubject
  readonly clock: Clock
}

// Kubelet's certificateWaitTimeout. Who approves by hand may come later: then a new request is waiting for them.
const patienceMs = 15 * 60_000
const firstLookMs = 200
const lastLookMs = 5_000

/**
 * Has the cluster sign a certificate for a new key: a CertificateSigningRequest, and waiting for others to approve and
 * sign it. Rejected: it was denied, or the signer failed. Unavailable: nobody did anything for a quarter of an hour.
 */
export async function requestCertificate(
  { api, purpose, subject, clock }: RequestCertificateOptions,
  signal: AbortSignal,
): Promise<PemPair> {
  const { request, key } = await newSigningRequest(subject)
  const created = await api.create(certificateSigningRequests, signingRequest(request, purpose), signal)
  const name = created.metadata?.name ?? ''
  const untilMs = clock.monotonicMs() + patienceMs
  // Looked at rather than watched: it takes a second, once in a year.
  for (let waitMs = firstLookMs; clock.monotonicMs() < untilMs; waitMs = Math.min(waitMs * 1.5, lastLookMs)) {
    await clock.sleep(waitMs, signal)
    const csr = await api.get(certificateSigningRequests, { name }, signal)
    const refusal = csr.status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed')
    if (refusal) {
      const { type, reason = '', message = '' } = refusal
      throw new SpillwayError('Rejected', `certificate request ${name}: ${type}, ${reason}: ${message}`)
    }
    const certificate = csr.status?.certificate
    if (certificate) return { cert: Buffer.from(certificate, 'base64').toString(), key }
  }
  throw new SpillwayError('Unavailable', `certificate request ${name} was neither signed nor denied`)
}

function signingRequest(
  request: string,
  { signerName, usages }: CertificatePurpose,
): CertificateSigningRequest {
  return {
    metadata: { generateName: 'spillway-' },
    spec: { request: Buffer.from(request).toString('base64'), signerName, usages: [...usages] },
  }
}
