import { isDeepStrictEqual } from 'node:util'
import type { Pod } from '../../../model/kubernetes.ts'
import type { AllocationObservation } from '../../../model/pod-observation.ts'
import { resourcesOf, sameResources } from '../../../model/pod-resources.ts'
import type { PodRecord, PodStore } from '../pod/pod-store.ts'
import { plannedContainers } from '../translate/translate.ts'

// As kubelet's pod workers come back to a Pod that they could not sync.
const retryMs = 10_000

/**
 * Which size is set aside for a Pod, and since when it is in effect. On disk, in the Pod's record, before it is told or
 * acted on; whatever else changes in that record is written here too.
 */
export class PodAllocation {
  readonly #store: PodStore
  readonly #podDir: string
  #record: PodRecord
  #failure: { readonly message: string; readonly untilMs: number } | undefined
  #lastWrite: Promise<void> = Promise.resolve()

  constructor(store: PodStore, podDir: string, record: PodRecord) {
    this.#store = store
    this.#podDir = podDir
    this.#record = record
  }

  /** Undefined: an earlier version of this program, or none at all, wrote the record. */
  get told(): AllocationObservation | undefined {
    const { allocation } = this.#record
    if (!allocation) return undefined
    return { ...allocation, ...(this.#failure && { error: this.#failure.message }) }
  }

  /** Set aside, and not all of it in effect yet. */
  get underWay(): AllocationObservation | undefined {
    const { allocation } = this.#record
    return allocation?.inEffectAtMs === undefined ? allocation : undefined
  }

  /** From now on the size and the containers in the Pod's spec count. Nothing happens when they do already. */
  async setAside(pod: Pod): Promise<void> {
    const resources = resourcesOf(pod)
    const containers = plannedContainers(pod).map(({ plan }) => plan)
    await this.#change(({ allocation, ...before }) => {
      const isKnown = allocation !== undefined && sameResources(allocation.resources, resources)
      if (isKnown && isDeepStrictEqual(before.containers, containers)) return undefined
      const { generation = 0 } = pod.metadata ?? {}
      return { ...before, containers, allocation: isKnown ? allocation : { generation, resources } }
    })
  }

  /** Unless another size has been set aside meanwhile. */
  async inEffect(allocation: AllocationObservation, nowMs: number): Promise<void> {
    await this.#change((before) =>
      before.allocation === allocation
        ? { ...before, allocation: { ...allocation, inEffectAtMs: nowMs } }
        : undefined,
    )
  }

  /** In kubelet's words. It may be tried again after a while. */
  failed(message: string, nowMs: number): void {
    this.#failure = { message, untilMs: nowMs + retryMs }
  }

  /** How long until the next try; 0 when it need not wait. */
  leftMs(nowMs: number): number {
    return Math.max((this.#failure?.untilMs ?? 0) - nowMs, 0)
  }

  /** One after the other: a new wish may come while the word that an older one is done is being written. */
  async #change(next: (before: PodRecord) => PodRecord | undefined): Promise<void> {
    const write = this.#lastWrite.then(async () => {
      const before = this.#record
      const record = next(before)
      if (!record) return
      await this.#store.writeRecord(this.#podDir, record)
      this.#record = record
      if (record.allocation !== before.allocation) this.#failure = undefined
    })
    this.#lastWrite = write.catch(() => undefined)
    await write
  }
}

/** What a Pod that begins is given: all of it is in effect from the start, since its containers are made with it. */
export function firstAllocation(pod: Pod, nowMs: number): AllocationObservation {
  return { generation: pod.metadata?.generation ?? 0, resources: resourcesOf(pod), inEffectAtMs: nowMs }
}
