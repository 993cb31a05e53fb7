import type { Pod } from '../../../model/kubernetes.ts'
import type { Wellness } from './observe.ts'

/** What the API server was last told of each container, by the runtime's id; read when a Pod is adopted. */
export function adoptionOf(status: Pod['status']): ReadonlyMap<string, Wellness> {
  const known = new Map<string, Wellness>()
  for (const { containerID, started, ready } of [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]) {
    if (containerID) known.set(containerID.replace(/^.*:\/\//, ''), { started: started ?? false, ready })
  }
  return known
}
