import { isDeepStrictEqual } from 'node:util'
import type { KubeApi } from '../kube/api.ts'
import { pods } from '../kube/resources.ts'
import { podStatus } from '../lifecycle/pod-status.ts'
import type { Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type { Pod, PodCondition, PodStatus } from '../model/kubernetes.ts'
import type { PendingResize } from '../lifecycle/resize-conditions.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import { podRef, type PodUid } from '../model/pod-key.ts'
import { priceAnnotations, type PriceTags } from './price-annotations.ts'

export interface Refusal {
  readonly reason: string
  readonly message: string
}

export interface PodReport {
  readonly pod: Pod
  readonly observed: PodObservation | undefined
  readonly refusal: Refusal | undefined
  readonly pendingResize: PendingResize | 'unknown' | undefined
  /** When the Pod was first let in by this process. */
  readonly acceptedAtMs: number | undefined
  /** What the ledger says of it; left out: nothing. */
  readonly prices?: PriceTags | undefined
}

export interface StatusReporterOptions {
  /** With the identity of the node, so that NodeRestriction holds us to our Pods. */
  readonly api: KubeApi
  readonly nodeIps: readonly string[]
  readonly clock: Clock
}

/**
 * Writes Pod statuses, and with them the annotations about its price: only what differs, only conditions of ours, only to
 * the Pod of that UID.
 */
export class StatusReporter {
  readonly #options: StatusReporterOptions
  /**
   * By Pod, what is still different after the last write: an older API server drops what it does not know, at every
   * write. Written again at every look, it would be a write for each look at each Pod.
   */
  readonly #notKept = new Map<PodUid, Record<string, unknown>>()

  constructor(options: StatusReporterOptions) {
    this.#options = options
  }

  /** The API server's answer, or undefined when there was nothing to say or the Pod is gone. */
  async report(report: PodReport, signal: AbortSignal): Promise<Pod | undefined> {
    const { api, clock, nodeIps } = this.#options
    const { pod } = report
    const previous = pod.status ?? {}
    const next = podStatus({
      pod,
      observed: report.observed,
      refusal: report.refusal,
      pendingResize: report.pendingResize,
      previous,
      node: { hostIps: nodeIps },
      nowMs: clock.wallMs(),
    })
    const { uid, namespace, name } = podRef(pod)
    const changes = this.#worthWriting(uid, statusPatch(previous, next))
    const annotations = priceAnnotations(pod.metadata?.annotations, report.prices)
    if (!changes && !annotations) return undefined
    try {
      const patch = {
        type: 'strategic',
        subresource: 'status',
        // A node may annotate its Pods in a status, and nowhere else (podStatusStrategy leaves annotations as they come).
        body: { metadata: { uid, ...(annotations && { annotations }) }, ...(changes && { status: changes }) },
      } as const
      const answer = await api.patch(pods, { namespace, name }, patch, signal)
      const left = statusPatch(answer.status ?? {}, next)
      if (left) this.#notKept.set(uid, left)
      else this.#notKept.delete(uid)
      return answer
    } catch (error) {
      // Gone, or another Pod of that name: the watch will say so.
      if (hasCode(error, 'NotFound') || (hasCode(error, 'Conflict') && /uid/i.test(error.message)))
        return undefined
      throw error
    }
  }

  #worthWriting(
    uid: PodUid,
    changes: Record<string, unknown> | undefined,
  ): Record<string, unknown> | undefined {
    return isDeepStrictEqual(changes, this.#notKept.get(uid)) ? undefined : changes
  }

  /** Nothing of the Pod is left on either side. */
  settled(uid: PodUid): void {
    this.#notKept.delete(uid)
  }

  /** Removes the API object of a Pod that has ended, and only that Pod's. */
  async deleteObject(pod: Pod, signal: AbortSignal): Promise<void> {
    const { uid, namespace, name } = podRef(pod)
    try {
      await this.#options.api.delete(pods, { namespace, name }, { graceSeconds: 0, uid }, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound') && !hasCode(error, 'Conflict')) throw error
    }
  }
}

/**
 * A strategic merge patch from one status to the next, or undefined when they are equal. Conditions merge by type, so
 * only changed ones are named, and those that are over; podIPs and hostIPs merge by ip, the Pod's resources by name, and
 * therefore have to be replaced as a whole.
 */
export function statusPatch(previous: PodStatus, next: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {}
  const before: Record<string, unknown> = { ...previous }
  const after: Record<string, unknown> = { ...next }
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (key === 'conditions' || isDeepStrictEqual(before[key], after[key])) continue
    const value = after[key]
    if (value === undefined) patch[key] = null
    else if (key === 'podIPs' || key === 'hostIPs')
      patch[key] = [...(value as unknown[]), { $patch: 'replace' }]
    // Only over something: where there is nothing to replace, the API server drops all that stands beside a directive.
    else if ((key === 'resources' || key === 'allocatedResources') && before[key] !== undefined)
      patch[key] = { ...value, $patch: 'replace' }
    else patch[key] = value
  }
  const conditions: Record<string, unknown>[] = (next.conditions ?? []).flatMap((condition) => {
    const old = said((previous.conditions ?? []).find(({ type }) => type === condition.type))
    return isDeepStrictEqual(old, said(condition)) ? [] : [withoutLeftovers(old, condition)]
  })
  const over = (previous.conditions ?? []).filter(
    ({ type }) => !(next.conditions ?? []).some((condition) => condition.type === type),
  )
  for (const { type } of over) conditions.push({ type, $patch: 'delete' })
  if (conditions.length > 0) patch['conditions'] = conditions
  return Object.keys(patch).length > 0 ? patch : undefined
}

/** The API server writes unset times as null: left in, a condition would never equal ours and be written at every look. */
function said(condition: PodCondition | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(condition ?? {}).filter(([, value]) => value !== null))
}

/** Merged by type, a condition keeps the fields that are not named: what no longer holds has to be taken away by null. */
function withoutLeftovers(old: Record<string, unknown>, next: PodCondition): Record<string, unknown> {
  const gone = Object.keys(old).filter((key) => !(key in next))
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...next }
}
