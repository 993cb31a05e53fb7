import { podActions, type PodActions } from '../../../lifecycle/pod-actions.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import { podRef } from '../../../model/pod-key.ts'
import type { PodHappening } from '../../backend.ts'
import { nanosToMs, type SandboxStatus } from '../runtime/cri-types.ts'
import { currentSandbox, evidenceOf, type ObserveInput, type Waiting } from './observe.ts'
import { resizesLeft } from '../resources/resizes-left.ts'

interface Supported {
  readonly pod: Pod
  readonly probes: { readonly failed: ReadonlyMap<string, 'liveness' | 'startup'> }
}

/** What has to be done next, by the pure rules, for what the runtime has. */
export function decideActions(support: Supported, observed: ObserveInput, nowMs: number): PodActions {
  const { view, plans } = observed
  const sandbox = currentSandbox(view.sandboxes)
  return podActions({
    pod: support.pod,
    sandbox: sandbox && {
      ready: sandbox.state === 'SANDBOX_READY',
      attempt: sandbox.metadata.attempt,
    },
    containers: plans.flatMap((plan) => evidenceOf(plan, observed) ?? []),
    failedProbes: support.probes.failed,
    resizeRestarts: resizeRestarts(support.pod, observed),
    stopping: false,
    nowMs,
  })
}

function resizeRestarts(pod: Pod, { allocation, view, notes }: ObserveInput): ReadonlySet<string> {
  const underWay = allocation !== undefined && allocation.inEffectAtMs === undefined
  return new Set(underWay ? resizesLeft(pod, view, notes).restart : [])
}

/** Why each container waits; why one could not be started the last time holds until it is. */
export function waitingFor(
  actions: PodActions,
  before: ReadonlyMap<string, Waiting>,
): ReadonlyMap<string, Waiting> {
  const waiting = new Map<string, Waiting>(actions.waiting.map(({ name, ...wait }) => [name, wait]))
  for (const { name } of actions.start) {
    const known = before.get(name)
    if (known && known.reason !== 'CrashLoopBackOff') waiting.set(name, known)
  }
  return waiting
}

interface Named {
  readonly pod: Pod
  fieldPath(container: string): string
}

/** What to tell of containers that began to wait for their next restart: once for each wait, in kubelet's words. */
export function newBackoffs(
  waiting: ReadonlyMap<string, Waiting>,
  before: ReadonlyMap<string, Waiting>,
  support: Named,
): PodHappening[] {
  const { name: podName, namespace, uid } = podRef(support.pod)
  return [...waiting].flatMap(([name, { reason }]): PodHappening[] => {
    if (reason !== 'CrashLoopBackOff' || before.get(name)?.reason === reason) return []
    const message = `Back-off restarting failed container ${name} in pod ${podName}_${namespace}(${uid})`
    return [{ type: 'Warning', reason: 'BackOff', message, fieldPath: support.fieldPath(name) }]
  })
}

const firstSpacingMs = 500
const longestSpacingMs = 10_000

/**
 * How long the replacement of a sandbox has to wait. From the creation of one to that of the next it takes 0.5 s
 * doubling to 10 s at the least: one that cannot stay up is not made anew ten times a second, each an incarnation and
 * a bill.
 */
export function sandboxRestMs(actions: PodActions, last: SandboxStatus | undefined, nowMs: number): number {
  if (!actions.createSandbox || !last) return 0
  const spacingMs = Math.min(firstSpacingMs * 2 ** Math.min(last.metadata.attempt, 10), longestSpacingMs)
  return Math.max(nanosToMs(last.createdAt) + spacingMs - nowMs, 0)
}
