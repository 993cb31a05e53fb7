import type { PodObservation } from '../../../model/pod-observation.ts'
import { attemptsOf, type RuntimeView, type SeenContainer } from '../pod/observe.ts'

/**
 * The attempt of the container whose log is meant, by what its status shows (kubelet_pods.go validateContainerLogStatus):
 * while it waits to run again, the previous one is the one that ended last, since that is what the status calls the last
 * state. Undefined: there has been none.
 */
export function loggedAttempt(
  { view, observed }: { readonly view: RuntimeView; readonly observed: PodObservation },
  { container, previous }: { readonly container: string; readonly previous: boolean },
): SeenContainer | undefined {
  const [last, before] = attemptsOf(view, container)
  if (!previous) return last
  const state = observed.containers.find(({ name }) => name === container)?.state
  return state?.kind === 'waiting' && last?.status.state === 'CONTAINER_EXITED' ? last : before
}
