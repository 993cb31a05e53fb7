import { controllerOf } from '../model/controller-of.ts'
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
  Volume,
} from '../model/kubernetes.ts'
import type { KeptOff } from './neighbours.ts'
import { isInReach, isInZone } from './volume-place.ts'
import {
  claimClass,
  matchingVolume,
  mayBeProvisioned,
  requestedBytes,
  waitsForConsumer,
} from './volume-binding.ts'

export interface VolumeObjects {
  readonly claims: readonly PersistentVolumeClaim[]
  readonly volumes: readonly PersistentVolume[]
  readonly classes: readonly StorageClass[]
}

/** Whether where the Pod may be is also a matter of its volumes. */
export function usesClaims({ spec }: Pod): boolean {
  return (spec?.volumes ?? []).some(isClaimed)
}

function isClaimed({ persistentVolumeClaim, ephemeral }: Volume): boolean {
  return persistentVolumeClaim !== undefined || ephemeral !== undefined
}

/**
 * Whom volumes keep off which nodes: kube-scheduler's filters VolumeBinding, VolumeZone, and of VolumeRestrictions that for
 * ReadWriteOncePod. What a storage driver says of its capacity and of volumes per node is left to the scheduler.
 */
export class Volumes {
  readonly #objects: VolumeObjects
  readonly #pods: readonly Pod[]
  readonly #judgeOf = new WeakMap<Pod, Judge>()
  #byName: Index | undefined

  /** `pods`: bound ones that are not over. */
  constructor(objects: VolumeObjects, pods: readonly Pod[]) {
    this.#objects = objects
    this.#pods = pods
  }

  keepOff(pod: Pod, node: Node): KeptOff | undefined {
    if (!usesClaims(pod)) return undefined
    const judge = this.#judgeOf.get(pod) ?? this.#judge(pod)
    this.#judgeOf.set(pod, judge)
    return judge(node)
  }

  #judge(pod: Pod): Judge {
    this.#byName ??= indexOf(this.#objects)
    const index = this.#byName
    const found = (pod.spec?.volumes ?? []).filter(isClaimed).map((volume) => claimOf(pod, volume, index))
    const missing = found.find((one): one is NoClaim => 'missing' in one)
    if (missing) return always({ isForGood: true, why: missing.missing })
    const claims = found.filter((one): one is Claimed => 'claim' in one)
    const placed: Placed[] = []
    const unbound: PersistentVolumeClaim[] = []
    for (const { claim, isEphemeral } of claims) {
      const name = claim.metadata?.name ?? ''
      const volume = isBound(claim) ? index.volumes.get(claim.spec?.volumeName ?? '') : undefined
      if (volume) placed.push({ volume, isEphemeral })
      else if (isBound(claim))
        return always({ isForGood: true, why: `volume ${claim.spec?.volumeName}, which is not there` })
      else if (claim.spec?.volumeName || !waitsForConsumer(index.classes.get(claimClass(claim))))
        return always({ isForGood: true, why: `volume claim ${name}, which is not bound to a volume yet` })
      else unbound.push(claim)
    }
    const used = this.#usedElsewhere(claims)
    return (node) => placeOff(placed, node) ?? this.#bindingOff(unbound, node) ?? used
  }

  /** Those that have no volume yet get one where the Pod comes: one that is there already, or a new one. */
  #bindingOff(unbound: readonly PersistentVolumeClaim[], node: Node): KeptOff | undefined {
    const taken = new Set<PersistentVolume>()
    // The smallest first, as upstream: a large claim would else take a volume that a small one needs.
    for (const claim of unbound.toSorted(bySize)) {
      const name = claim.metadata?.name ?? ''
      const selected = claim.metadata?.annotations?.[selectedNodeAnnotation]
      if (selected !== undefined && selected !== node.metadata?.name)
        return { isForGood: true, why: `volume claim ${name}, which is being bound on ${selected}` }
      const free = this.#objects.volumes.filter((volume) => !taken.has(volume))
      const volume = selected === undefined ? matchingVolume(claim, free, node) : undefined
      if (volume) taken.add(volume)
      else if (!mayBeProvisioned(this.#byName?.classes.get(claimClass(claim)), node))
        return { isForGood: true, why: `volume claim ${name}, for which there can be no volume there` }
    }
    return undefined
  }

  /** Of a claim that one Pod may use at a time: it comes free when that Pod goes. */
  #usedElsewhere(claims: readonly Claimed[]): KeptOff | undefined {
    const single = claims.find(
      ({ claim, isEphemeral }) =>
        !isEphemeral &&
        claim.spec?.accessModes?.includes('ReadWriteOncePod') &&
        this.#pods.some((pod) => uses(pod, claim)),
    )
    return (
      single && {
        isForGood: false,
        why: `volume claim ${single.claim.metadata?.name}, which one Pod may use at a time`,
      }
    )
  }
}

type Judge = (node: Node) => KeptOff | undefined

function always(kept: KeptOff): Judge {
  return () => kept
}

interface Placed {
  readonly volume: PersistentVolume
  readonly isEphemeral: boolean
}

function placeOff(placed: readonly Placed[], node: Node): KeptOff | undefined {
  // The zones of its own volumes are no business of VolumeZone's.
  const off = placed.find(
    ({ volume, isEphemeral }) => !isInReach(volume, node) || (!isEphemeral && !isInZone(volume, node)),
  )
  return (
    off && { isForGood: true, isVolume: true, why: `volume ${off.volume.metadata?.name}, which is elsewhere` }
  )
}

interface Index {
  readonly claims: ReadonlyMap<string, PersistentVolumeClaim>
  readonly volumes: ReadonlyMap<string, PersistentVolume>
  readonly classes: ReadonlyMap<string, StorageClass>
}

function indexOf({ claims, volumes, classes }: VolumeObjects): Index {
  return {
    claims: new Map(claims.map((claim) => [`${claim.metadata?.namespace}/${claim.metadata?.name}`, claim])),
    volumes: new Map(volumes.map((volume) => [volume.metadata?.name ?? '', volume])),
    classes: new Map(classes.map((one) => [one.metadata?.name ?? '', one])),
  }
}

interface Claimed {
  readonly claim: PersistentVolumeClaim
  readonly isEphemeral: boolean
}

interface NoClaim {
  readonly missing: string
}

function claimOf(
  pod: Pod,
  { name, persistentVolumeClaim, ephemeral }: Volume,
  index: Index,
): Claimed | NoClaim {
  const isEphemeral = persistentVolumeClaim === undefined
  const claimName = persistentVolumeClaim?.claimName ?? `${pod.metadata?.name}-${name}`
  const claim = index.claims.get(`${pod.metadata?.namespace}/${claimName}`)
  const missing = (what: string): NoClaim => ({ missing: `volume claim ${claimName}, which ${what}` })
  if (!claim) {
    // A Pod that is not there yet brings it.
    const template = pod.metadata?.uid === undefined ? ephemeral?.volumeClaimTemplate : undefined
    if (!template) return missing('is not there')
    const brought = { ...template, metadata: { ...template.metadata, name: claimName } }
    return { claim: brought, isEphemeral }
  }
  if (claim.status?.phase === 'Lost') return missing('has lost its volume')
  if (claim.metadata?.deletionTimestamp) return missing('is being deleted')
  if (isEphemeral && controllerOf(claim)?.uid !== pod.metadata?.uid) return missing('is not its own')
  return { claim, isEphemeral }
}

/** What is written before that may still be taken back. */
function isBound({ metadata, spec }: PersistentVolumeClaim): boolean {
  return Boolean(spec?.volumeName) && 'pv.kubernetes.io/bind-completed' in (metadata?.annotations ?? {})
}

const selectedNodeAnnotation = 'volume.kubernetes.io/selected-node'

function bySize(a: PersistentVolumeClaim, b: PersistentVolumeClaim): number {
  const [left, right] = [requestedBytes(a), requestedBytes(b)]
  return left < right ? -1 : Number(left > right)
}

function uses({ metadata, spec }: Pod, claim: PersistentVolumeClaim): boolean {
  return (
    metadata?.namespace === claim.metadata?.namespace &&
    (spec?.volumes ?? []).some(
      ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim.metadata?.name,
    )
  )
}
