import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509'
import type { KubeApi } from '../../src/kube/api.ts'
import { reflect } from '../../src/kube/reflector.ts'
import { podCertificateRequests } from '../../src/kube/resources.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { kubeTime, type Clock } from '../../src/model/clock.ts'
import type { PodCertificateRequest } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'

export interface SignerOptions {
  readonly api: KubeApi
  readonly clock: Clock
  readonly namespace: string
  /** Requests to others are left alone. */
  readonly signerName: string
}

export interface Signer {
  /** Of the authority that signs, PEM. */
  readonly root: string
}

/** What the author of a Pod writes into `userAnnotations` for another answer than a certificate: `Denied`, `Failed`. */
export const answerAnnotation = 'spillway.dev/answer'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

/** A signer of Pods' certificates on a real API server, until the signal is aborted. */
export async function runSigner(options: SignerOptions, signal: AbortSignal): Promise<Signer> {
  const { api, clock, namespace, signerName } = options
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=signer of the tests',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
    ...validity(clock.wallMs()),
  })
  const store = new ObjectStore<PodCertificateRequest>({ log: silentLog() })
  store.subscribe(({ after }) => {
    if (!after || after.spec.signerName !== signerName || after.status?.conditions) return
    // A request that goes with its Pod meanwhile needs no answer.
    void answer(options, after, { root, key: keys.privateKey }, signal).catch(() => {})
  })
  const selection = { namespace }
  const watch = { api, resource: podCertificateRequests, selection, store, clock, log: silentLog() }
  void reflect<PodCertificateRequest>({ ...watch, backoff: () => 1_000 }, signal).catch(() => {})
  return { root: `${root.toString('pem')}\n` }
}

interface Authority {
  readonly root: X509Certificate
  readonly key: webcrypto.CryptoKey
}

async function answer(
  { api, clock }: SignerOptions,
  request: PodCertificateRequest,
  authority: Authority,
  signal: AbortSignal,
): Promise<void> {
  const type = request.spec.unverifiedUserAnnotations?.[answerAnnotation] ?? 'Issued'
  const said = { reason: 'AsAsked', message: 'the Pod said so', lastTransitionTime: kubeTime(clock.wallMs()) }
  const certificate = type === 'Issued' ? await sign(request, authority, clock.wallMs()) : {}
  const status = { conditions: [{ type, status: 'True', ...said }], ...certificate }
  const { namespace = '', name = '' } = request.metadata ?? {}
  const patch = { type: 'merge', subresource: 'status', body: { status } } as const
  await api.patch(podCertificateRequests, { namespace, name }, patch, signal)
}

async function sign(
  { spec }: PodCertificateRequest,
  { root, key }: Authority,
  nowMs: number,
): Promise<object> {
  const request = new Pkcs10CertificateRequest(new Uint8Array(Buffer.from(spec.stubPKCS10Request, 'base64')))
  const valid = validity(nowMs)
  const leaf = await X509CertificateGenerator.create({
    subject: `CN=${spec.serviceAccountName}`,
    issuer: root.subjectName,
    ...valid,
    publicKey: request.publicKey,
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: spec.podName }])],
  })
  return {
    certificateChain: `${leaf.toString('pem')}\n`,
    notBefore: kubeTime(valid.notBefore.getTime()),
    notAfter: kubeTime(valid.notAfter.getTime()),
    beginRefreshAt: kubeTime(nowMs + hourMs / 2),
  }
}

/** The shortest that the API server takes. */
function validity(nowMs: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const secondMs = Math.floor(nowMs / 1000) * 1000
  return { notBefore: new Date(secondMs), notAfter: new Date(secondMs + hourMs) }
}
