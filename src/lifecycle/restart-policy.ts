import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerObservation, TerminatedState } from '../model/pod-observation.ts'

/**
 * Whether a container that ended with this code is to run again: its own rules and policy first, then the Pod's
 * (pkg/api/v1/pod ContainerShouldRestart). A policy that is not known counts as Always, the API's default.
 */
export function shouldRestart(container: Container, pod: Pod, exitCode: number): boolean {
  if (container.restartPolicy !== undefined) {
    const action = ruleFor(container, exitCode)?.action
    if (action === 'Restart' || action === 'RestartAllContainers') return true
  }
  const policy = policyOf(container, pod)
  if (policy === 'Never') return false
  return policy === 'OnFailure' ? exitCode !== 0 : true
}

/** Whether one that is killed because of a probe runs again: by policy alone, since no exit code has a say in it. */
export function mayRestart(container: Container, pod: Pod): boolean {
  return policyOf(container, pod) !== 'Never'
}

/** Whether that exit makes every container of the Pod begin anew, init containers first. */
export function restartsAll(container: Container, exitCode: number): boolean {
  return ruleFor(container, exitCode)?.action === 'RestartAllContainers'
}

/** Whether some exit could make all containers begin anew. */
export function couldRestartAll({ spec }: Pod): boolean {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].some((container) =>
    container.restartPolicyRules?.some(({ action }) => action === 'RestartAllContainers'),
  )
}

/** The reason of the end of what was ended, or removed, so that all containers begin anew. */
export const restartingAllContainers = 'RestartingAllContainers'

function policyOf(container: Container, pod: Pod): string | undefined {
  return container.restartPolicy ?? pod.spec?.restartPolicy
}

type Rule = NonNullable<Container['restartPolicyRules']>[number]

/** The first that matches decides. */
function ruleFor(container: Container, exitCode: number): Rule | undefined {
  return container.restartPolicyRules?.find((rule) => matches(rule, exitCode))
}

function matches({ exitCodes }: Rule, exitCode: number): boolean {
  if (!exitCodes) return false
  const listed = exitCodes.values.includes(exitCode)
  if (exitCodes.operator === 'In') return listed
  return exitCodes.operator === 'NotIn' && !listed
}

/** How the last attempt that ran has ended, or undefined when it has not or there was none. */
export function lastEnd(container: ContainerObservation | undefined): TerminatedState | undefined {
  if (container?.state.kind === 'terminated') return container.state
  return container?.state.kind === 'waiting' ? container.lastTerminated : undefined
}
