import type { Pod } from '../../model/kubernetes.ts'

/** When a Pod was first seen in each phase of its life, in wall milliseconds of the one who watches. */
export interface PodTimeline {
  readonly uid: string
  readonly name: string
  readonly node: string | undefined
  readonly createdMs: number
  readonly unschedulableMs?: number
  readonly sentMs?: number
  readonly boundMs?: number
  readonly readyMs?: number
  readonly deletingMs?: number
  readonly goneMs?: number
}

type Phase = 'unschedulableMs' | 'sentMs' | 'boundMs' | 'readyMs' | 'deletingMs'

const phases: Readonly<Record<Phase, (pod: Pod) => boolean>> = {
  unschedulableMs: (pod) => condition(pod, 'PodScheduled')?.reason === 'Unschedulable',
  sentMs: (pod) => pod.spec?.tolerations?.some(({ key }) => key === 'spillway.dev/virtual-node') ?? false,
  boundMs: (pod) => Boolean(pod.spec?.nodeName),
  readyMs: (pod) => condition(pod, 'Ready')?.status === 'True',
  deletingMs: (pod) => Boolean(pod.metadata?.deletionTimestamp),
}

/** The timeline after one more look at the Pod; `pod` undefined: it is gone. */
export function extendTimeline(
  before: PodTimeline | undefined,
  pod: Pod | undefined,
  nowMs: number,
): PodTimeline | undefined {
  if (!pod) return before && { ...before, goneMs: before.goneMs ?? nowMs }
  const after: PodTimeline = before ?? {
    uid: pod.metadata?.uid ?? '',
    name: pod.metadata?.name ?? '',
    node: undefined,
    createdMs: nowMs,
  }
  const reached = Object.entries(phases)
    .filter(([phase, holds]) => after[phase as Phase] === undefined && holds(pod))
    .map(([phase]) => [phase, nowMs])
  return { ...after, node: pod.spec?.nodeName ?? after.node, ...Object.fromEntries(reached) }
}

/** Keeps the timelines of the Pods that it is told of. */
export class Timelines {
  readonly #byUid = new Map<string, PodTimeline>()

  observe(before: Pod | undefined, after: Pod | undefined, nowMs: number): void {
    const uid = (after ?? before)?.metadata?.uid ?? ''
    const timeline = extendTimeline(this.#byUid.get(uid), after, nowMs)
    if (timeline) this.#byUid.set(uid, timeline)
  }

  all(): readonly PodTimeline[] {
    return [...this.#byUid.values()]
  }

  living(): readonly PodTimeline[] {
    return this.all().filter(({ goneMs, deletingMs }) => goneMs === undefined && deletingMs === undefined)
  }
}

function condition(pod: Pod, type: string) {
  return pod.status?.conditions?.find((found) => found.type === type)
}
