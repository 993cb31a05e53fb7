import type { Container, Pod } from '../model/kubernetes.ts'
import type { ContainerObservation, TerminatedState } from '../model/pod-observation.ts'

/**
 * Whether a container that ended with this code is to run again: its own rules and policy first, then the Pod's
 * (pkg/api/v1/pod ContainerShouldRestart). A policy that is not known counts as Always, the API's default.
 */
export function shouldRestart(container: Container, pod: Pod, exitCode: number): boolean {
  if (container.restartPolicy !== undefined) {
    const rule = container.restartPolicyRules?.find((candidate) => matches(candidate, exitCode))
    if (rule?.action === 'Restart') return true
  }
  const policy = container.restartPolicy ?? pod.spec?.restartPolicy
  if (policy === 'Never') return false
  return policy === 'OnFailure' ? exitCode !== 0 : true
}

type Rule = NonNullable<Container['restartPolicyRules']>[number]

function matches({ exitCodes }: Rule, exitCode: number): boolean {
  if (!exitCodes) return false
  const listed = exitCodes.values.includes(exitCode)
  return exitCodes.operator === 'NotIn' ? !listed : listed
}

/** How the last attempt that ran has ended, or undefined when it has not or there was none. */
export function lastEnd(container: ContainerObservation | undefined): TerminatedState | undefined {
  if (container?.state.kind === 'terminated') return container.state
  return container?.state.kind === 'waiting' ? container.lastTerminated : undefined
}
