import { once } from 'node:events'
import type { Store } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import type { Namespace, Node, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import type { BurstPolicy } from './burst/burst-policy.ts'
import { isOver, poolOf } from './cluster-picture.ts'
import { wantsVirtual } from './placement.ts'

export interface MissedPlacementOptions {
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  /** The burst policy that counts for the Pod and says Always; undefined: none does. */
  readonly alwaysPolicyOf: (pod: Pod) => Pick<BurstPolicy, 'title' | 'createdMs'> | undefined
  readonly events: EventSink
  readonly clock: Clock
}

/** The API server forgets events after an hour: what was missed before that is old news, and told by explain. */
const newsMs = 60 * 60_000

/**
 * Tells people of a Pod that was bound to a server though its placement is virtual, or its burst policy says Always: the admission policy or webhook was
 * not there, or the API server let the Pod by without it. Also of those that were bound while nobody was here, since
 * then there was no webhook either. Resolves when the signal is aborted.
 */
export async function tellMissedPlacements(
  { pods, nodes, namespaces, alwaysPolicyOf, events, clock }: MissedPlacementOptions,
  signal: AbortSignal,
): Promise<void> {
  const tellIfMissed = (pod: Pod): void => {
    const name = pod.spec?.nodeName
    const node = name ? nodes.get({ name }) : undefined
    if (!node || poolOf(node) !== undefined || isOver(pod)) return
    const why = whyVirtual(pod)
    if (why === undefined) return
    const message = `it is on server ${name} though ${why}`
    const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
    events.record({ object, type: 'Warning', reason: 'PlacementMissed', message })
  }
  const whyVirtual = (pod: Pod): string | undefined => {
    if (wantsVirtual(pod, namespaces.get({ name: pod.metadata?.namespace ?? '' }))) {
      return (
        'its placement is virtual: neither an admission policy (deploy/admission/placement.yaml) ' +
        'nor the webhook (deploy/admission-webhook.yaml) is there, or it was passed over'
      )
    }
    const policy = alwaysPolicyOf(pod)
    // One that came later is about Pods that come later.
    if (!policy || policy.createdMs > createdMs(pod)) return undefined
    return (
      `${policy.title} says Always: the admission policy for that (deploy/admission/burst-policies.yaml) is not there, ` +
      'or the policy’s condition AtCreation was not True'
    )
  }
  const isNews = (pod: Pod): boolean => boundMs(pod) >= clock.wallMs() - newsMs
  try {
    await Promise.all([pods, nodes, namespaces].map((store) => store.whenSynced(signal)))
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  for (const pod of pods.list()) if (isNews(pod)) tellIfMissed(pod)
  const end = pods.subscribe(({ before, after }) => {
    if (after && !before?.spec?.nodeName && (before || isNews(after))) tellIfMissed(after)
  })
  await once(signal, 'abort')
  end()
}

function createdMs({ metadata }: Pod): number {
  return metadata?.creationTimestamp ? parseTimeMs(metadata.creationTimestamp) : 0
}

/** When the scheduler bound it; never for one that was made with its node's name. */
function boundMs({ status }: Pod): number {
  const scheduled = status?.conditions?.find(
    ({ type, status: value }) => type === 'PodScheduled' && value === 'True',
  )
  return scheduled?.lastTransitionTime ? parseTimeMs(scheduled.lastTransitionTime) : Number.NEGATIVE_INFINITY
}
