import { matchesTerms } from '../lifecycle/node-affinity.ts'
import type { Node, PersistentVolume } from '../model/kubernetes.ts'

/** `nodeAffinity` of a volume, as VolumeBinding asks for it. */
export function isInReach({ spec }: PersistentVolume, node: Node): boolean {
  const required = spec?.nodeAffinity?.required
  return !required || matchesTerms(required.nodeSelectorTerms, node)
}

const zone = 'topology.kubernetes.io/zone'
const region = 'topology.kubernetes.io/region'
const betaZone = 'failure-domain.beta.kubernetes.io/zone'
const betaRegion = 'failure-domain.beta.kubernetes.io/region'
const places = [betaZone, betaRegion, zone, region]
const today: Readonly<Record<string, string>> = { [betaZone]: zone, [betaRegion]: region }

/** Labels of a volume that tell its zones (VolumeZone); a node that tells nothing of any zone is in all of them. */
export function isInZone({ metadata }: PersistentVolume, node: Node): boolean {
  const labels = node.metadata?.labels ?? {}
  if (!places.some((key) => key in labels)) return true
  return places.every((key) => {
    const said = metadata?.labels?.[key]
    if (said === undefined) return true
    const found = labels[key] ?? labels[today[key] ?? key]
    // Several zones are written in one label.
    return found !== undefined && said.split('__').includes(found)
  })
}
