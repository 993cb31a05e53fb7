import { kubeTime } from '../model/clock.ts'
import type { PodCondition } from '../model/kubernetes.ts'
import type { AllocationObservation } from '../model/pod-observation.ts'
import type { ResizeRefusal } from './resize-admission.ts'

/** A size that was asked for and has not been set aside. */
export interface PendingResize extends ResizeRefusal {
  /** `metadata.generation` of the Pod that asks for it. */
  readonly generation: number
}

export interface ResizeConditionsInput {
  /** `unknown`: nobody has looked yet, since the process began. */
  readonly pending: PendingResize | 'unknown' | undefined
  readonly allocation: AllocationObservation | undefined
  readonly previous: readonly PodCondition[]
  readonly nowMs: number
}

/** The conditions that say how far a resize is. They are there, and True, only as long as there is something to say. */
export const resizeConditionTypes = ['PodResizePending', 'PodResizeInProgress'] as const

/** As pkg/kubelet/status has them: a resize waits for room, is under way, or the one beside the other. */
export function resizeConditions(input: ResizeConditionsInput): PodCondition[] {
  return [pendingCondition(input), progressCondition(input)].filter((condition) => condition !== undefined)
}

function pendingCondition({ pending, previous, nowMs }: ResizeConditionsInput): PodCondition | undefined {
  const before = previous.find(({ type }) => type === 'PodResizePending')
  if (pending === 'unknown') return before
  if (!pending) return undefined
  const { reason, message, generation } = pending
  return condition('PodResizePending', { reason, message, generation }, before, nowMs)
}

function progressCondition({ allocation, previous, nowMs }: ResizeConditionsInput): PodCondition | undefined {
  if (!allocation || allocation.inEffectAtMs !== undefined) return undefined
  const before = previous.find(({ type }) => type === 'PodResizeInProgress')
  const { generation, error } = allocation
  const finding = { generation, ...(error !== undefined && { reason: 'Error', message: error }) }
  // What stopped the same resize the last time holds until it goes on: a restart of ours does not forget it.
  if (error === undefined && before?.observedGeneration === generation) return before
  return condition('PodResizeInProgress', finding, before, nowMs)
}

function condition(
  type: string,
  {
    generation,
    ...why
  }: { readonly generation: number; readonly reason?: string; readonly message?: string },
  before: PodCondition | undefined,
  nowMs: number,
): PodCondition {
  const since = before && (before.reason ?? '') === (why.reason ?? '') ? before.lastTransitionTime : undefined
  return {
    type,
    status: 'True',
    ...why,
    lastTransitionTime: since ?? kubeTime(nowMs),
    observedGeneration: generation,
  }
}
