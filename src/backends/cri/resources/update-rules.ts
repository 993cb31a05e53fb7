import { refusalSentence, unsupportedUses } from '../../../lifecycle/unsupported.ts'
import type { Capabilities } from '../../../model/capability.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'

/**
 * Rejected: the Pod asks for what is not offered here, more than `before` did. Admission has said so of a new Pod
 * already, but ephemeral containers come past that door; and what runs goes on when an option is withdrawn.
 */
export function refuseUnsupported(pod: Pod, capabilities: Capabilities, before?: Pod): void {
  const earlier = new Set(before && unsupportedUses(before, capabilities).map(({ field }) => field))
  const missing = unsupportedUses(pod, capabilities).find(({ field }) => !earlier.has(field))
  if (!missing) return
  const message = refusalSentence(missing, capabilities)
  throw new SpillwayError('Rejected', message, { reason: 'UnsupportedPodSpec' })
}
