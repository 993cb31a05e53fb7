import { parseTimeMs, type Clock } from '../../../model/clock.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { PodCertificateProjection, PodCertificateRequest } from '../../../model/kubernetes.ts'
import type { PodHappening, PodSources } from '../../backend.ts'
import { newKeyAndProof } from './key-and-proof.ts'
import { readCertificates, writeCertificates } from './pem-certificates.ts'

// kubelet's (pkg/kubelet/podcertificate).
const longestJitterMs = 5 * 60_000
const assumedDeletedMs = 10 * 60_000
const overdueMs = 10 * 60_000

export interface PodCertificatesOptions {
  readonly sources: PodSources
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly tell: (happening: PodHappening) => void
}

export interface Credentials {
  readonly key: Buffer
  readonly chain: Buffer
}

interface Issued extends Credentials {
  readonly refreshAtMs: number
  readonly overdueAtMs: number
  readonly expiresAtMs: number
}

interface Asked {
  readonly name: string
  readonly keyPem: string
  /** When a request that is not to be seen counts as deleted. */
  readonly abandonAtMs: number
}

interface Projection {
  issued?: Issued
  asked?: Asked
  /** For good: kubelet does not ask again either before it is started anew. */
  refusal?: string
  readonly told: Set<string>
}

/**
 * The certificates of one Pod and their keys, one for each source of a volume. As with kubelet, a key never touches a
 * disk that lasts: after a restart of this process a new one is made and signed, and the files stay as they were until
 * then.
 */
export class PodCertificates {
  readonly #options: PodCertificatesOptions
  readonly #projections = new Map<string, Projection>()

  constructor(options: PodCertificatesOptions) {
    this.#options = options
  }

  /**
   * What to write now. While a new certificate is being waited for, the old one, however old; without one NotFound, and
   * `sources.onChange` calls when there is news. Rejected: the signer said no. `place` tells the Pod's sources apart.
   */
  async current(
    place: string,
    projection: PodCertificateProjection,
    signal: AbortSignal,
  ): Promise<Credentials> {
    const state = this.#projections.get(place) ?? { told: new Set() }
    this.#projections.set(place, state)
    if (state.asked) await this.#hear(state, state.asked, signal)
    const isDue = !state.issued || this.#nowMs() >= state.issued.refreshAtMs
    if (!state.asked && state.refusal === undefined && isDue) await this.#ask(state, projection, signal)
    this.#tellAge(state)
    if (state.refusal !== undefined) throw new SpillwayError('Rejected', state.refusal)
    if (!state.issued) throw new SpillwayError('NotFound', 'credential bundle is not issued yet')
    return state.issued
  }

  /** Wall time at which the next request is due; undefined when none is or when one is under way. */
  get dueAtMs(): number | undefined {
    const times = [...this.#projections.values()].flatMap(({ issued, asked, refusal }) =>
      issued && !asked && refusal === undefined ? [issued.refreshAtMs] : [],
    )
    return times.length === 0 ? undefined : Math.min(...times)
  }

  async #ask(state: Projection, projection: PodCertificateProjection, signal: AbortSignal): Promise<void> {
    const { signerName, keyType, maxExpirationSeconds, userAnnotations } = projection
    const { keyPem, stubRequest } = await newKeyAndProof(keyType)
    const name = await this.#options.sources.requestCertificate(
      {
        signerName,
        stubRequest,
        ...(maxExpirationSeconds !== undefined && { maxExpirationSeconds }),
        ...(userAnnotations && { userAnnotations }),
      },
      signal,
    )
    state.asked = { name, keyPem, abandonAtMs: this.#nowMs() + assumedDeletedMs + this.#jitterMs() }
    // It may have been signed before we began to watch.
    await this.#hear(state, state.asked, signal)
  }

  async #hear(state: Projection, asked: Asked, signal: AbortSignal): Promise<void> {
    const request = await this.#options.sources.certificateRequest(asked.name, signal)
    if (!request) {
      if (this.#nowMs() >= asked.abandonAtMs) delete state.asked
      return
    }
    const ending = request.status?.conditions?.find(({ type }) =>
      ['Issued', 'Denied', 'Failed'].includes(type),
    )
    if (!ending) return
    delete state.asked
    if (ending.type === 'Issued') {
      state.issued = issuedBy(request, asked, this.#jitterMs())
      state.told.clear()
      return
    }
    const { metadata } = request
    const why = `reason="${ending.reason ?? ''}" message="${ending.message ?? ''}"`
    const verb = ending.type === 'Denied' ? 'denied' : 'failed'
    state.refusal = `PodCertificateRequest was permanently ${verb}: ${why}`
    const was = ending.type === 'Denied' ? 'was denied' : 'failed'
    // kubelet's sentence, as it is meant: its call uses it as an argument of the reason, which garbles it.
    this.#warn(
      ending.type,
      `PodCertificateRequest ${metadata?.namespace}/${metadata?.name} ${was}, ${why.replace(' ', ', ')}`,
    )
  }

  #tellAge({ issued, told }: Projection): void {
    if (!issued) return
    const once = (reason: string, message: string): void => {
      if (!told.has(reason)) this.#warn(reason, message)
      told.add(reason)
    }
    const nowMs = this.#nowMs()
    if (nowMs >= issued.overdueAtMs) once('CertificateOverdueForRefresh', 'PodCertificate refresh overdue')
    if (nowMs >= issued.expiresAtMs) once('CertificateExpired', 'PodCertificate expired')
  }

  #warn(reason: string, message: string): void {
    this.#options.tell({ type: 'Warning', reason, message })
  }

  #nowMs(): number {
    return this.#options.clock.wallMs()
  }

  #jitterMs(): number {
    return this.#options.random() * longestJitterMs
  }
}

function issuedBy({ status, metadata }: PodCertificateRequest, { keyPem }: Asked, jitterMs: number): Issued {
  const { certificateChain, beginRefreshAt, notAfter } = status ?? {}
  if (!certificateChain || !beginRefreshAt || !notAfter) {
    throw new SpillwayError(
      'Unavailable',
      `PodCertificateRequest ${metadata?.name}: issued without certificateChain, beginRefreshAt or notAfter`,
    )
  }
  // The jitter keeps Pods that were made together from asking together.
  const refreshAtMs = parseTimeMs(beginRefreshAt) + jitterMs
  return {
    key: Buffer.from(keyPem),
    chain: writeCertificates(readCertificates(certificateChain)),
    refreshAtMs,
    overdueAtMs: refreshAtMs + overdueMs,
    expiresAtMs: parseTimeMs(notAfter),
  }
}
