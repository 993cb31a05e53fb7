import { backoffMs, type BackoffPolicy } from '../../control/backoff.ts'
import type { KubeApi } from '../../kube/api.ts'
import type { Clock } from '../../model/clock.ts'
import { errorMessage } from '../../model/errors.ts'
import type { PemPair } from '../../model/pem-pair.ts'
import type { Log } from '../../telemetry/log.ts'
import { readPair, writePair } from '../../kube/certificate-file.ts'
import { heldCertificate, renewalMs, satisfies, type HeldCertificate } from './held-certificate.ts'
import type { CertificatePurpose } from './purpose.ts'
import { requestCertificate } from './request-certificate.ts'
import type { CertificateSubject } from './subject.ts'

export interface KeepCertificateOptions {
  /** Where it lies between two lives of the process. */
  readonly file: string
  readonly purpose: CertificatePurpose
  readonly subject: CertificateSubject
  /** As whom it is asked for. */
  readonly api: Pick<KubeApi, 'create' | 'get'>
  /** Told of each one that is new. */
  readonly onCertificate: (pair: PemPair) => void
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** What an earlier life of the process left, if it is still good for that subject. */
export async function storedCertificate({
  file,
  subject,
  clock,
  log,
}: Pick<KeepCertificateOptions, 'file' | 'subject' | 'clock' | 'log'>): Promise<HeldCertificate | undefined> {
  try {
    const pair = await readPair(file)
    const held = pair && heldCertificate(pair)
    const good = held && satisfies(held.subject, subject) && clock.wallMs() < held.notAfterMs
    return good ? held : undefined
  } catch (error) {
    log.warn({ file, error: errorMessage(error) }, 'stored certificate not usable, asking for a new one')
    return undefined
  }
}

/**
 * Longer than for what Pods wait for: each failure may leave a request behind, which people see in a list, and a denial
 * stands until somebody changes something.
 */
const backoff: BackoffPolicy = { firstMs: 2_000, longestMs: 5 * 60_000, factor: 2, jitter: 0.2 }

// So that a wall clock that was set, or a machine that slept, is noticed.
const longestSleepMs = 60 * 60_000

/**
 * Has a certificate at all times, from now until the signal is aborted: asks for one when there is none, and for the
 * next long before it ends. Never rejects for what the API server does; what is held is served on meanwhile.
 */
export async function keepCertificate(options: KeepCertificateOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log, purpose, subject } = options
  const { signerName } = purpose
  let held = await storedCertificate(options)
  let dueMs = held ? renewalMs(held, random()) : 0
  let failures = 0
  while (!signal.aborted) {
    try {
      if (clock.wallMs() < dueMs) {
        await clock.sleep(Math.min(dueMs - clock.wallMs(), longestSleepMs), signal)
        continue
      }
      held = heldCertificate(await requestCertificate(options, signal))
      await writePair(options.file, held.pair)
      options.onCertificate(held.pair)
      dueMs = renewalMs(held, random())
      failures = 0
      const until = new Date(held.notAfterMs).toISOString()
      log.info({ signer: signerName, subject: subject.commonName, until }, 'certificate signed')
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      const retryInMs = backoffMs(backoff, failures, random())
      log.warn(
        { signer: signerName, subject: subject.commonName, failures, retryInMs, error: errorMessage(error) },
        'no certificate yet',
      )
      dueMs = clock.wallMs() + retryInMs
    }
  }
}
