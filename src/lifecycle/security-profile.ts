import type { FeatureUse, PodFeature } from '../model/capability.ts'
import type { Container, Pod } from '../model/kubernetes.ts'
import type { SecurityAllowance, SecurityProfile } from '../model/security-profile.ts'
import { featuresOf } from './features.ts'

const allowanceFor: Partial<Readonly<Record<PodFeature, SecurityAllowance>>> = {
  hostIPC: 'hostIPC',
  hostNetwork: 'hostNetwork',
  hostPathVolume: 'hostPath',
  hostPID: 'hostPID',
  privileged: 'privileged',
  unconfinedSeccomp: 'unconfinedSeccomp',
}

/**
 * What the Pod asks for and its pool does not allow, a sentence for each field; undefined when it may have all. As in
 * `spec.hostPID: not allowed in pool "burst" (security.allow lacks "hostPID")`.
 */
export function profileRefusal(pod: Pod, profile: SecurityProfile, pool: string): string | undefined {
  const sentences = featuresOf(pod).flatMap((use) => {
    const lack = lackOf(use, profile)
    return lack === undefined ? [] : [`${use.field}: not allowed in pool "${pool}" (${lack})`]
  })
  return sentences.length === 0 ? undefined : sentences.join('; ')
}

/** An ephemeral container by itself: it comes to a Pod that is in already. */
export function ofEphemeralContainer(container: Container): Pod {
  return { spec: { containers: [], ephemeralContainers: [container] } }
}

function lackOf(
  { feature, value }: FeatureUse,
  { allow, capabilities }: SecurityProfile,
): string | undefined {
  if (feature === 'linuxCapability') {
    const isAllowed = capabilities.some((name) => name === 'ALL' || name === value)
    return isAllowed ? undefined : `security.capabilities lacks "${value}"`
  }
  const allowance = allowanceFor[feature]
  return allowance === undefined || allow.includes(allowance)
    ? undefined
    : `security.allow lacks "${allowance}"`
}
