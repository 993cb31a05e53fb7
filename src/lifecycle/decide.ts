import type { Pod } from '../model/kubernetes.ts'
import type { PodObservation } from '../model/pod-observation.ts'
import { evictionGraceSeconds, evictionOf } from './eviction.ts'

/**
 * What the API server wants for a UID.
 * `unknown` is not `deleted`: after a restart or a gap nobody has told us that the Pod is gone, and a list that is
 * behind must not kill it (elotl/kip#107, liqotech/liqo#2748). Such Pods are left to pods/orphans.ts.
 */
export type DesiredPod =
  | { readonly kind: 'present'; readonly pod: Pod }
  | { readonly kind: 'deleted'; readonly lastSeen: Pod }
  | { readonly kind: 'unknown' }

/** The next thing to do for a Pod. */
export type Step =
  /** New here: the door (admission) first, then INTENT, then `backend.start`. */
  | { readonly do: 'admit' }
  /** It runs, and this process does not look after it yet. */
  | { readonly do: 'adopt' }
  /** It ran here, and the backend has lost every trace: close its bill, then begin anew. */
  | { readonly do: 'replaceLost' }
  | { readonly do: 'update' }
  | { readonly do: 'stop'; readonly graceSeconds: number }
  /** It has been active for as long as it may: told, then stopped. */
  | { readonly do: 'expire'; readonly graceSeconds: number }
  /** Its processes have ended and its end was asked for: last status, then the API object goes. */
  | { readonly do: 'delete' }
  /** The API object is gone and nothing runs: the evidence may go. */
  | { readonly do: 'forget' }
  | { readonly do: 'nothing' }

export interface DecideInput {
  readonly desired: DesiredPod
  readonly observed: PodObservation | undefined
  /** Labels or annotations are not those that the backend was given last: they do not count up the generation. */
  readonly metadataChanged?: boolean
  /** Another size has been set aside for the Pod, of which the backend does not know yet. */
  readonly sizeGranted?: boolean
  /** Its active deadline is over. */
  readonly pastDeadline?: boolean
}

const nothing: Step = { do: 'nothing' }

/**
 * Desired and observed → the next step. Level-triggered: the same question at any time, after any crash, has the same
 * answer. A Pod that began to end is never started again, and a terminal phase is final.
 */
export function decide(input: DecideInput): Step {
  const { desired, observed } = input
  switch (desired.kind) {
    case 'unknown':
      return nothing
    case 'deleted':
      return decideDeleted(desired.lastSeen, observed)
    case 'present':
      return desired.pod.metadata?.deletionTimestamp || isTerminal(desired.pod)
        ? decideEnding(desired.pod, observed)
        : decideWanted(desired.pod, input)
  }
}

function decideDeleted(lastSeen: Pod, observed: PodObservation | undefined): Step {
  if (!observed) return nothing
  if (observed.phase === 'stopped') return { do: 'forget' }
  if (observed.phase === 'stopping') return nothing
  return { do: 'stop', graceSeconds: graceSeconds(lastSeen) }
}

function decideEnding(pod: Pod, observed: PodObservation | undefined): Step {
  const over = observed === undefined || observed.phase === 'stopped'
  if (!over) {
    // Repeated while it is stopping, because a second DELETE may shorten the grace; the backend ignores the same again.
    return { do: 'stop', graceSeconds: graceSeconds(pod) }
  }
  // A finished Pod that nobody deletes stays, with its logs and exit codes.
  return pod.metadata?.deletionTimestamp ? { do: 'delete' } : nothing
}

function decideWanted(pod: Pod, { observed, metadataChanged, sizeGranted, pastDeadline }: DecideInput): Step {
  if (!observed) return hasRun(pod) ? { do: 'replaceLost' } : { do: 'admit' }
  if (observed.phase === 'stopping' || observed.phase === 'stopped') return nothing
  const eviction = evictionOf(pod.status)
  if (eviction) {
    const hurried = eviction.reason === 'Evicted'
    return { do: 'stop', graceSeconds: hurried ? evictionGraceSeconds : graceSeconds(pod) }
  }
  if (pastDeadline) return { do: 'expire', graceSeconds: graceSeconds(pod) }
  if (!observed.supervised) return { do: 'adopt' }
  const specChanged = (pod.metadata?.generation ?? 0) > observed.generation
  return specChanged || metadataChanged || sizeGranted ? { do: 'update' } : nothing
}

/** Succeeded or Failed: nothing may run any more, and the phase never changes again. */
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/**
 * The grace that kubelet would give: what the DELETE asked for, else the Pod's own, and never less than a second
 * even when forced, so that the processes' end is seen (pkg/kubelet/pod_workers.go calculateEffectiveGracePeriod).
 */
export function graceSeconds(pod: Pod): number {
  const asked = pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30
  return Math.max(asked, 1)
}

function hasRun(pod: Pod): boolean {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {}
  return [...containerStatuses, ...initContainerStatuses].some((status) => Boolean(status.containerID))
}
