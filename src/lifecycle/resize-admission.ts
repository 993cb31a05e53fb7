import { admit, type AdmissionInput } from './admission.ts'

export type ResizeVerdict = { readonly kind: 'fits' } | ({ readonly kind: 'pending' } & ResizeRefusal)

export interface ResizeRefusal {
  /** Deferred: asked again when room may have appeared. Infeasible: not before the Pod asks for something else. */
  readonly reason: 'Deferred' | 'Infeasible'
  /** The door's own reason, as in `OutOfcpu`. */
  readonly cause: string
  readonly message: string
}

/** The message of a backend that runs Pods only at the size that they came with, in kubelet's words. */
const switchedOff = 'InPlacePodVerticalScaling is disabled'

/**
 * Whether the size that the Pod asks for can be set aside for it (pkg/kubelet/allocation canAdmitPod with the resize
 * operation). It goes through the same door as a new Pod; where that would be refused, this one waits. More than the
 * node can ever hold has been refused by the API server, so that kubelet defers that too.
 */
export function admitResize(input: AdmissionInput): ResizeVerdict {
  if (!input.capabilities.features.has('inPlaceResize')) return infeasible(switchedOff)
  const verdict = admit({ ...input, isResize: true })
  if (verdict.kind === 'admit') return { kind: 'fits' }
  const { reason, message } = verdict
  // What the backend does not do will not come by waiting.
  if (reason === 'UnsupportedPodSpec') return infeasible(message)
  return { kind: 'pending', reason: 'Deferred', cause: reason, message }
}

function infeasible(message: string): ResizeVerdict {
  return { kind: 'pending', reason: 'Infeasible', cause: 'Infeasible', message }
}
