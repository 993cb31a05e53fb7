import { errorMessage } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PriceTags } from './price-annotations.ts'
import type { Log } from '../telemetry/log.ts'

/** What the bill needs to hear, and when it must be durable. billing/meter.ts is the one implementation. */
export interface Meter {
  /** Durable when it resolves. Rejects with LedgerUnavailable, LedgerCorrupt: then nothing starts. */
  intent(pod: Pod, node: MeteredNode, signal: AbortSignal): Promise<void>
  /** What the backend's own times say was held and has ended. Durable when it resolves; cheap when nothing is new. */
  record(pod: Pod | undefined, observed: PodObservation, signal: AbortSignal): Promise<void>
  /** The Pod is about to be given the size in its spec. Durable when it resolves; rejects with LedgerUnavailable. */
  resizing(pod: Pod, observed: PodObservation, signal: AbortSignal): Promise<void>
  /** The backend will not do it. */
  resizeRefused(uid: PodUid, generation: number, reason: string, signal: AbortSignal): Promise<void>
  /** The end of what is seen there is about to be asked for. */
  stopping(observed: PodObservation, signal: AbortSignal): Promise<void>
  /** The backend has lost the Pod: closed at the last time that it was seen. */
  closeLost(uid: PodUid, signal: AbortSignal): Promise<void>
  /** What the Pod is billed by; undefined: it is not billed. Reads what the writes before it have read. */
  priceTags(uid: PodUid, isOver: boolean, signal: AbortSignal): Promise<PriceTags | undefined>
  /** It never started. */
  voided(uid: PodUid, reason: string, signal: AbortSignal): Promise<void>
}

export interface MeteredNode {
  readonly pool: string
  readonly node: string
  readonly priceBook: string
  readonly purchase?: 'on-demand' | 'spot'
}

/**
 * For writes to the ledger that the Pod's way must not wait for: the next pass makes them again. Answers whether it was
 * made; rejects only with the signal's reason.
 */
export async function tolerated(
  what: string,
  write: Promise<void>,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<boolean> {
  try {
    await write
    return true
  } catch (error) {
    signal.throwIfAborted()
    log.error({ what, error: errorMessage(error) }, 'ledger write failed; the pod goes on')
    return false
  }
}
