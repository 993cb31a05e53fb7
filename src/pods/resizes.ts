import type { Backend } from '../backends/backend.ts'
import type { DesiredPod } from '../lifecycle/decide.ts'
import { hasCode } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { Log } from '../telemetry/log.ts'
import type { Allocations, SizeView } from './allocations.ts'
import { tolerated, type Meter } from './meter.ts'
import type { Observations } from './observations.ts'
import type { PodEventSink } from './pod-event.ts'
import { ResizeNews } from './resize-news.ts'

export interface ResizesOptions {
  readonly allocations: Allocations
  readonly backend: Backend
  readonly observations: Observations
  readonly meter: Meter
  readonly recordEvent: PodEventSink
  readonly log: Log
}

const nothing: SizeView = { granted: false, pending: 'unknown' }

/** In-place resize, from the wish to the word that it is done: room first, then the bill, then the backend. */
export class Resizes {
  readonly #options: ResizesOptions
  readonly #news: ResizeNews

  constructor(options: ResizesOptions) {
    this.#options = options
    this.#news = new ResizeNews(options.recordEvent)
  }

  /** How far the size is that the Pod asks for; asks for it when that is new, and tells people what is. */
  look(desired: DesiredPod, observed: PodObservation | undefined): SizeView {
    if (desired.kind !== 'present') return nothing
    const { pod } = desired
    const view = this.#options.allocations.look(pod, observed)
    if (view.pending !== 'unknown') this.#news.pending(pod, view.pending)
    if (observed?.allocation && observed.supervised) this.#news.progress(pod, observed.allocation)
    return view
  }

  /**
   * Hands the changed Pod to the backend, at the size that is set aside for it. A size that is new to the backend is in
   * the ledger before it is asked. Rejections: the ledger's, and the backend's for what else has changed.
   */
  async handOver(pod: Pod, signal: AbortSignal): Promise<void> {
    const { allocations, backend, meter, observations } = this.#options
    const sized = allocations.handOver(pod)
    const observed = observations.get(pod.metadata?.uid as PodUid)
    if (!observed || !allocations.isGranted(pod)) return await backend.update(sized, signal)
    await meter.resizing(sized, observed, signal)
    try {
      await backend.update(sized, signal)
    } catch (error) {
      if (!hasCode(error, 'Rejected') && !hasCode(error, 'Unsupported')) throw error
      return await this.#refused(sized, error.message, signal)
    }
    this.#news.started(sized)
  }

  settled(uid: PodUid): void {
    this.#news.settled(uid)
  }

  async #refused({ metadata }: Pod, message: string, signal: AbortSignal): Promise<void> {
    const { allocations, log, meter } = this.#options
    const uid = metadata?.uid as PodUid
    const generation = metadata?.generation ?? 0
    allocations.refused(uid, generation, message)
    const write = meter.resizeRefused(uid, generation, message, signal)
    await tolerated('void record of a resize', write, { log, signal })
  }
}
