import { resizeCompleted, resizeFailed, resizePending, resizeStarted } from '../lifecycle/resize-events.ts'
import type { PendingResize } from '../lifecycle/resize-conditions.ts'
import type { Pod, PodCondition } from '../model/kubernetes.ts'
import type { AllocationObservation } from '../model/pod-observation.ts'
import { withResources } from '../model/pod-resources.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PodEventSink } from './pod-event.ts'

/**
 * Tells people how a resize goes, each thing once, as kubelet does: also when an earlier life of the process began it,
 * for what was said then stands in the Pod's conditions.
 */
export class ResizeNews {
  readonly #recordEvent: PodEventSink
  /** The last thing said of each kind. */
  readonly #told = new Map<PodUid, { pending?: string; error?: string; underWay?: number }>()

  constructor(recordEvent: PodEventSink) {
    this.#recordEvent = recordEvent
  }

  /** The backend has been given the size that the Pod asks for. */
  started(pod: Pod): void {
    const generation = pod.metadata?.generation ?? 0
    const told = this.#of(pod)
    told.underWay = generation
    delete told.error
    this.#recordEvent(pod, resizeStarted(pod, generation))
  }

  pending(pod: Pod, pending: PendingResize | undefined): void {
    const told = this.#of(pod)
    if (!pending) {
      delete told.pending
      return
    }
    const { reason, generation } = pending
    const what = `${reason}/${generation}`
    if (told.pending === what) return
    told.pending = what
    this.#recordEvent(pod, resizePending(pod, pending, generation))
  }

  progress(pod: Pod, { generation, resources, inEffectAtMs, error }: AllocationObservation): void {
    const told = this.#of(pod)
    const sized = withResources(pod, resources)
    if (inEffectAtMs !== undefined) {
      if (told.underWay === undefined) return
      this.#recordEvent(sized, resizeCompleted(sized, told.underWay))
      delete told.underWay
      delete told.error
      return
    }
    told.underWay ??= generation
    if (error === undefined || told.error === error) return
    told.error = error
    this.#recordEvent(sized, resizeFailed(sized, generation, error))
  }

  settled(uid: PodUid): void {
    this.#told.delete(uid)
  }

  #of(pod: Pod): { pending?: string; error?: string; underWay?: number } {
    const uid = pod.metadata?.uid as PodUid
    const known = this.#told.get(uid)
    if (known) return known
    const pending = conditionOf(pod, 'PodResizePending')
    const progress = conditionOf(pod, 'PodResizeInProgress')
    const told = {
      ...(pending && { pending: `${pending.reason}/${pending.observedGeneration}` }),
      ...(progress?.message && { error: progress.message }),
      ...(progress && { underWay: progress.observedGeneration ?? 0 }),
    }
    this.#told.set(uid, told)
    return told
  }
}

function conditionOf({ status }: Pod, type: string): PodCondition | undefined {
  return status?.conditions?.find((condition) => condition.type === type)
}
