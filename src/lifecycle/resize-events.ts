import type { Container, Pod, ResourceRequirements } from '../model/kubernetes.ts'
import type { ResizeRefusal } from './resize-admission.ts'

/** What people are told of a resize in the Pod's events, in kubelet's words (pkg/kubelet/events/resize.go). */
export interface ResizeEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: 'ResizeStarted' | 'ResizeCompleted' | 'ResizeError' | 'ResizeDeferred' | 'ResizeInfeasible'
  readonly message: string
}

/** `pod` asks for the size that has just been set aside for it. */
export function resizeStarted(pod: Pod, generation: number): ResizeEvent {
  return { type: 'Normal', reason: 'ResizeStarted', message: told('started', pod, { generation }) }
}

/** `pod` asks for the size that is in effect. */
export function resizeCompleted(pod: Pod, generation: number): ResizeEvent {
  return { type: 'Normal', reason: 'ResizeCompleted', message: told('completed', pod, { generation }) }
}

export function resizeFailed(pod: Pod, generation: number, error: string): ResizeEvent {
  return { type: 'Warning', reason: 'ResizeError', message: told('error', pod, { generation, error }) }
}

export function resizePending(
  pod: Pod,
  { reason, cause, message }: ResizeRefusal,
  generation: number,
): ResizeEvent {
  const text = told(cause, pod, { generation, error: message })
  return { type: 'Warning', reason: `Resize${reason}`, message: text }
}

/** The sizes as JSON in the order and spelling of Go, since tools read them out of the event. */
function told(what: string, { spec }: Pod, facts: { generation: number; error?: string }): string {
  const { initContainers = [], containers = [] } = spec ?? {}
  const summary = {
    ...(initContainers.length > 0 && { initContainers: initContainers.map(sizeOf) }),
    ...(containers.length > 0 && { containers: containers.map(sizeOf) }),
    generation: facts.generation,
    ...(facts.error && { error: facts.error }),
  }
  return `Pod resize ${what}: ${goJson(summary)}`
}

function sizeOf({ name, resources }: Container): { name: string; resources: ResourceRequirements } {
  const { limits, requests, claims } = resources ?? {}
  const sorted = (list: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(list).sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    name,
    resources: {
      ...(filled(limits) && { limits: sorted(limits) }),
      ...(filled(requests) && { requests: sorted(requests) }),
      ...(claims && claims.length > 0 && { claims }),
    },
  }
}

function filled(list: Record<string, string> | undefined): list is Record<string, string> {
  return list !== undefined && Object.keys(list).length > 0
}

function goJson(value: object): string {
  return JSON.stringify(value).replace(/[<>&]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`)
}
