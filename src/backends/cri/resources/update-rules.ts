import { refusalSentence, unsupportedUses } from '../../../lifecycle/unsupported.ts'
import type { Capabilities } from '../../../model/capability.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'

/**
 * Rejected: the Pod asks for what is not offered here. Admission has said so of a new Pod already. What comes to one that
 * runs is looked at container by container (pod/late-container.ts), and what runs goes on when an option is withdrawn.
 */
export function refuseUnsupported(pod: Pod, capabilities: Capabilities): void {
  const [missing] = unsupportedUses(pod, capabilities)
  if (!missing) return
  const message = refusalSentence(missing, capabilities)
  throw new SpillwayError('Rejected', message, { reason: 'UnsupportedPodSpec' })
}
