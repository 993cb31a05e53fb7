import { labelsMatch } from '../lifecycle/label-selector.ts'
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from '../model/kubernetes.ts'
import { parseBytes } from '../model/quantity.ts'
import { isInReach } from './volume-place.ts'

const classAnnotation = 'volume.beta.kubernetes.io/storage-class'

/** Name of the class; empty: none. */
export function claimClass({ metadata, spec }: PersistentVolumeClaim): string {
  return metadata?.annotations?.[classAnnotation] ?? spec?.storageClassName ?? ''
}

/** Whether claims of the class get their volume once a Pod is to be somewhere; else they should have it by themselves. */
export function waitsForConsumer(storageClass: StorageClass | undefined): boolean {
  return storageClass?.volumeBindingMode === 'WaitForFirstConsumer'
}

export function requestedBytes({ spec }: PersistentVolumeClaim): bigint {
  return parseBytes(spec?.resources?.requests?.['storage'] ?? '0')
}

/**
 * The volume that the claim would be bound to if its Pod came to that node: one that was made for it, or the smallest that
 * is free (FindMatchingVolume of k8s.io/component-helpers/storage/volume).
 */
export function matchingVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  node: Node,
): PersistentVolume | undefined {
  const suited = volumes.filter((volume) => isSuited(volume, claim))
  const own = suited.find(({ spec }) => spec?.claimRef)
  if (own) return isInReach(own, node) ? own : undefined
  const free = suited.filter(
    (volume) =>
      volume.status?.phase === 'Available' &&
      (!claim.spec?.selector || labelsMatch(claim.spec.selector, volume.metadata?.labels)) &&
      (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode)) &&
      isInReach(volume, node),
  )
  const [first, ...others] = free
  return others.reduce<PersistentVolume | undefined>(
    (smallest, other) => (smallest && bytesOf(other) < bytesOf(smallest) ? other : smallest),
    first,
  )
}

/** Of the claim's class, large enough, of its kind, and nobody else's. */
function isSuited(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { metadata, spec } = volume
  const of = metadata?.annotations?.[classAnnotation] ?? spec?.storageClassName ?? ''
  return (
    of === claimClass(claim) &&
    (!spec?.claimRef || isFor(spec.claimRef, claim)) &&
    bytesOf(volume) >= requestedBytes(claim) &&
    (spec?.volumeMode ?? 'Filesystem') === (claim.spec?.volumeMode ?? 'Filesystem') &&
    attributesClass(spec) === attributesClass(claim.spec) &&
    !metadata?.deletionTimestamp
  )
}

function isFor(
  ref: { readonly namespace?: string; readonly name?: string; readonly uid?: string },
  { metadata }: PersistentVolumeClaim,
): boolean {
  const isNamed = ref.name === metadata?.name && ref.namespace === metadata?.namespace
  return isNamed && (!ref.uid || ref.uid === metadata?.uid)
}

function bytesOf({ spec }: PersistentVolume): bigint {
  return parseBytes(spec?.capacity?.['storage'] ?? '0')
}

/** 1.34+, and before that of those who turned it on. */
function attributesClass(spec: { readonly volumeAttributesClassName?: string } | undefined): string {
  return spec?.volumeAttributesClassName ?? ''
}

const noProvisioner = 'kubernetes.io/no-provisioner'

/** Whether a new volume could be made for that node; what the driver says of its capacity is not asked. */
export function mayBeProvisioned(storageClass: StorageClass | undefined, node: Node): boolean {
  if (!storageClass?.provisioner || storageClass.provisioner === noProvisioner) return false
  const { allowedTopologies = [] } = storageClass
  const labels = node.metadata?.labels ?? {}
  if (allowedTopologies.length === 0) return true
  return allowedTopologies.some(({ matchLabelExpressions = [] }) => {
    const isThere = ({ key, values }: { key: string; values: string[] }): boolean =>
      labels[key] !== undefined && values.includes(labels[key])
    // One without any asks for nothing that could be there.
    return matchLabelExpressions.length > 0 && matchLabelExpressions.every(isThere)
  })
}
