import type { Node, Pod } from '../model/kubernetes.ts'
import { parseBytes } from '../model/quantity.ts'
import {
  add,
  boundPodRequests,
  noResources,
  parseResources,
  podRequests,
  type Resources,
} from '../model/resources.ts'

/** A resource of which a node has too little left for a Pod: cpu in thousandths, all else in whole units or bytes. */
export interface Shortfall {
  readonly resource: string
  readonly requested: bigint
  readonly used: bigint
  readonly capacity: bigint
}

/** What the node lacks for the Pod beside the others, in the scheduler's order; empty when it fits. */
export function shortfalls(pod: Pod, node: Node, others: readonly Pod[]): readonly Shortfall[] {
  const list = node.status?.allocatable ?? node.status?.capacity ?? {}
  const places = { resource: 'pods', requested: 1n, used: BigInt(others.length) }
  const capacity = parseResources(list)
  const all = amountsOf(capacity)
  const used = amountsOf(others.reduce((sum, other) => add(sum, boundPodRequests(other)), noResources))
  const amounts = Object.entries(amountsOf(podRequests(pod)))
    // An extended resource that the node does not have at all belongs to the cluster, not to the node: not checked.
    .filter(([name, amount]) => amount > 0n && (!name.includes('/') || capacity.extended.has(name)))
    .map(([resource, requested]) => ({
      resource,
      requested,
      used: used[resource] ?? 0n,
      capacity: all[resource] ?? 0n,
    }))
  return [{ ...places, capacity: parseBytes(list['pods'] ?? '0') }, ...amounts].filter(
    (one) => missing(one) > 0n,
  )
}

/** How much of it would have to come free. */
export function missing({ requested, used, capacity }: Shortfall): bigint {
  return requested + used - capacity
}

/** How much of it comes free when the Pod goes. */
export function heldBy(pod: Pod, { resource }: Pick<Shortfall, 'resource'>): bigint {
  return resource === 'pods' ? 1n : (amountsOf(boundPodRequests(pod))[resource] ?? 0n)
}

/** In the scheduler's order; those beyond the three by name. */
function amountsOf({
  cpuMillis,
  memoryBytes,
  ephemeralStorageBytes,
  extended,
}: Resources): Readonly<Record<string, bigint>> {
  const others = [...extended].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    cpu: cpuMillis,
    memory: memoryBytes,
    'ephemeral-storage': ephemeralStorageBytes,
    ...Object.fromEntries(others),
  }
}
