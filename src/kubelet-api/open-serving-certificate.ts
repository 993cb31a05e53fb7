import type { Log } from '../telemetry/log.ts'
import type { Clock } from '../model/clock.ts'
import { selfSignedCertificate } from './self-signed.ts'
import { fileCertificate, fixedCertificate, type ServingCertificate } from './serving-certificate.ts'

export interface ServingCertificateOptions {
  /** PEM files, read again when they change. Left out: a certificate that nobody has signed. */
  readonly files?: { readonly certFile: string; readonly keyFile: string }
  readonly nodeName: string
  readonly addresses: readonly string[]
  readonly clock: Clock
  readonly log: Log
}

// Like kubelet's own; it is made anew at each start.
const selfSignedLifeMs = 365 * 24 * 60 * 60 * 1000

/** What a node serves with: the files when they are given, else self-signed. Rejects when a file cannot be read. */
export async function openServingCertificate(
  { files, nodeName, addresses, clock, log }: ServingCertificateOptions,
  signal: AbortSignal,
): Promise<ServingCertificate> {
  if (files) return await fileCertificate({ ...files, log }, signal)
  const options = { nodeName, addresses, nowMs: clock.wallMs(), lifeMs: selfSignedLifeMs }
  return fixedCertificate(await selfSignedCertificate(options))
}
