import type { Capabilities, FeatureUse, PodFeature } from '../model/capability.ts'
import type { Pod } from '../model/kubernetes.ts'
import { featuresOf } from './features.ts'

/** What the Pod asks for and the backend does not do, in the order of the spec. Empty when it can do all. */
export function unsupportedUses(pod: Pod, capabilities: Capabilities): FeatureUse[] {
  return featuresOf(pod).filter((use) => !offers(capabilities, use))
}

/** As in `spec.hostPID: host PID is not offered here (options.allow of backend "local" lacks "hostPID")`. */
export function refusalSentence({ feature, field, value }: FeatureUse, { lacks }: Capabilities): string {
  const why = lacks?.get(feature)
  return `${field}: ${value ?? describe(feature)} is not offered here${why === undefined ? '' : ` (${why})`}`
}

function offers({ features, linuxCapabilities }: Capabilities, { feature, value }: FeatureUse): boolean {
  if (features.has(feature)) return true
  return feature === 'linuxCapability' && value !== undefined && linuxCapabilities.includes(value)
}

/** `postStartHook` → `post start hook`. */
function describe(feature: PodFeature): string {
  const words = feature.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').split(' ')
  return words.map((word) => (/^[A-Z]{2,}$/.test(word) ? word : word.toLowerCase())).join(' ')
}
