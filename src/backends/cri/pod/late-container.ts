import { ofEphemeralContainer, profileRefusal } from '../../../lifecycle/security-profile.ts'
import { refusalSentence, unsupportedUses } from '../../../lifecycle/unsupported.ts'
import type { Capabilities } from '../../../model/capability.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Container } from '../../../model/kubernetes.ts'
import type { NodeFacts } from '../../backend.ts'

/**
 * Rejects with `CreateContainerConfigError` what an ephemeral container may not have. It comes to a Pod that is in
 * already, past the door, and whoever may debug a Pod could else make it privileged. The Pod and its other containers
 * go on; kubectl shows why this one waits.
 */
export function refuseLateContainer(
  container: Container,
  { capabilities, node }: { readonly capabilities: Capabilities; readonly node: NodeFacts },
): void {
  const alone = ofEphemeralContainer(container)
  const [missing] = unsupportedUses(alone, capabilities)
  const { pool, profile } = node.security ?? {}
  const refusal = missing
    ? refusalSentence(missing, capabilities)
    : pool !== undefined && profile && profileRefusal(alone, profile, pool)
  if (!refusal) return
  // The list has one entry here, and more in the Pod.
  const message = refusal.replaceAll('spec.ephemeralContainers[0]', `ephemeral container ${container.name}`)
  throw new SpillwayError('Rejected', message, { reason: 'CreateContainerConfigError' })
}
