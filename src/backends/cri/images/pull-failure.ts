import { pullSentence } from '../runtime/errors.ts'

export interface PullFailure {
  /** For the container's status. */
  readonly reason: 'ErrImagePull' | 'RegistryUnavailable' | 'SignatureValidationFailed'
  readonly message: string
}

/** By the word with which a runtime's sentence begins (k8s.io/cri-api/pkg/errors): what is made of it. */
const known = [
  ['RegistryUnavailable', 'the registry is unavailable'],
  ['SignatureValidationFailed', 'the signature validation failed'],
] as const

/** Why a pull failed, in kubelet's words (pkg/kubelet/images evalCRIPullErr). */
export function pullFailure(image: string, error: unknown): PullFailure {
  const sentence = pullSentence(error)
  for (const [reason, why] of known) {
    if (!sentence.startsWith(reason)) continue
    const rest = sentence.slice(reason.length)
    return { reason, message: `image pull failed for ${image} because ${why}${rest}` }
  }
  return { reason: 'ErrImagePull', message: sentence }
}
