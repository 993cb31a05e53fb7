import { once } from 'node:events'
import type { Store } from '../kube/api.ts'
import type { EventSink } from '../kube/events.ts'
import type { Namespace, Node, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import { placementPolicyName } from '../model/words.ts'
import { poolOf } from './cluster-picture.ts'
import { wantsVirtual } from './placement.ts'

export interface MissedPlacementOptions {
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly events: EventSink
}

/**
 * Tells people of a Pod that was bound to a server though its placement is virtual: the admission policy was not there,
 * or the API server let the Pod by without it. Resolves when the signal is aborted.
 */
export async function tellMissedPlacements(
  { pods, nodes, namespaces, events }: MissedPlacementOptions,
  signal: AbortSignal,
): Promise<void> {
  const end = pods.subscribe(({ before, after }) => {
    const name = after?.spec?.nodeName
    // Only who is bound now: what was missed before we came was told then, or is told by explain.
    if (!after || !name || !before || before.spec?.nodeName) return
    const node = nodes.get({ name })
    if (!node || poolOf(node) !== undefined) return
    if (!wantsVirtual(after, namespaces.get({ name: after.metadata?.namespace ?? '' }))) return
    const message =
      `it is on server ${name} though its placement is virtual: admission policy ${placementPolicyName} ` +
      'is not there (deploy/admission/placement.yaml), or was passed over'
    const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(after) }
    events.record({ object, type: 'Warning', reason: 'PlacementMissed', message })
  })
  if (!signal.aborted) await once(signal, 'abort')
  end()
}
