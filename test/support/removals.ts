/** What ReplicaSets removed while they shrank, and by which of upstream's rules. */
import type { Store } from '../../src/kube/api.ts'
import { controllerOf } from '../../src/model/controller-of.ts'
import type { Pod, ReplicaSet } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import { compareRemoval, crowdsOf, isActive, type RemovalRule } from '../../src/scheduling/removal-order.ts'

/** The ReplicaSet controller looks at a cache: what it decided by may be that old. */
const staleMs = 1_500

/** Its deletes of one look go out side by side, and may be told of after the next change of the ReplicaSet. */
const sameLookMs = 300

/** With the last resort: upstream holds the two equal, and takes either. */
type Rule = RemovalRule | 'held equal'

interface State {
  readonly atMs: number
  readonly pod: Pod
}

/** Pods that one look of the controller's took away, and those that it then left. */
interface Removal {
  readonly atMs: number
  readonly replicaSet: string
  readonly victims: readonly string[]
  readonly left: readonly string[]
}

export interface RemovalReport {
  readonly removed: number
  /** Pairs of a removed server Pod and a virtual one that stayed, by the rule that decided so. */
  readonly rules: ReadonlyMap<string, number>
  /** Removals that no rule explains, for people. */
  readonly unexplained: readonly string[]
}

/** Keeps all that Pods of a namespace were, and what size its ReplicaSets were to have, from now on. */
export class RemovalRecorder {
  readonly #states = new Map<string, State[]>()
  readonly #victims: { readonly atMs: number; readonly version: bigint; readonly pod: Pod }[] = []
  /** By UID: the version at each change of `spec.replicas`. */
  readonly #resizes = new Map<string, bigint[]>()
  readonly #replicaSets: Store<ReplicaSet>
  readonly #ends: readonly (() => void)[]
  readonly #namespace: string
  readonly #nowMs: () => number
  /** Before that nothing is known. */
  readonly #sinceMs: number

  constructor(
    { pods, replicaSets }: { readonly pods: Store<Pod>; readonly replicaSets: Store<ReplicaSet> },
    namespace: string,
    nowMs: () => number,
  ) {
    this.#namespace = namespace
    this.#nowMs = nowMs
    this.#sinceMs = nowMs() + 1
    this.#replicaSets = replicaSets
    for (const pod of pods.list()) this.#add(pod)
    this.#ends = [
      pods.subscribe(({ before, after }) => this.#onPod(before, after)),
      replicaSets.subscribe(({ before, after }) => {
        if (!after || before?.spec?.replicas === after.spec?.replicas) return
        const uid = after.metadata?.uid ?? ''
        this.#resizes.set(uid, [...(this.#resizes.get(uid) ?? []), versionOf(after)])
      }),
    ]
  }

  end(): void {
    for (const end of this.#ends) end()
  }

  #add(pod: Pod): void {
    if (pod.metadata?.namespace !== this.#namespace) return
    const uid = pod.metadata.uid ?? ''
    this.#states.set(uid, [...(this.#states.get(uid) ?? []), { atMs: this.#nowMs(), pod }])
  }

  #onPod(before: Pod | undefined, after: Pod | undefined): void {
    const pod = after ?? before
    if (pod?.metadata?.namespace !== this.#namespace) return
    if (before && isActive(before) && !(after && isActive(after)))
      this.#victims.push({ atMs: this.#nowMs(), version: versionOf(pod), pod: before })
    if (after) this.#add(after)
  }

  /** Judges every removal since the start. */
  report(): RemovalReport {
    const rules = new Map<string, number>()
    const unexplained: string[] = []
    for (const removal of this.#removals()) this.#judge(removal, rules, unexplained)
    return { removed: this.#victims.length, rules, unexplained }
  }

  /** What went from one ReplicaSet between two changes of its size went by one look of its controller's. */
  #removals(): Removal[] {
    const groups = new Map<string, { atMs: number; replicaSet: string; victims: string[]; lastMs: number }>()
    for (const { atMs, version, pod } of this.#victims) {
      const replicaSet = controllerOf(pod)?.uid ?? ''
      const look = (this.#resizes.get(replicaSet) ?? []).filter((resized) => resized <= version).length
      const group = groups.get(`${replicaSet}/${look}`) ?? { atMs, replicaSet, victims: [], lastMs: atMs }
      group.victims.push(pod.metadata?.uid ?? '')
      group.lastMs = atMs
      groups.set(`${replicaSet}/${look}`, group)
    }
    return [...groups.values()].map((group) => ({ ...group, left: this.#leftOf(group.replicaSet, group) }))
  }

  /** Those of a ReplicaSet that were there when its controller looked, and that it left. */
  #leftOf(replicaSet: string, { atMs, lastMs }: { atMs: number; lastMs: number }): string[] {
    return [...this.#states].flatMap(([uid, states]) => {
      const pod = states.findLast((state) => state.atMs <= atMs)?.pod
      if (!pod || !isActive(pod) || controllerOf(pod)?.uid !== replicaSet) return []
      return this.#goneMs(uid) <= lastMs + sameLookMs ? [] : [uid]
    })
  }

  #goneMs(uid: string): number {
    return this.#victims.find(({ pod }) => pod.metadata?.uid === uid)?.atMs ?? Number.POSITIVE_INFINITY
  }

  #judge(
    { atMs, replicaSet, victims, left }: Removal,
    rules: Map<string, number>,
    unexplained: string[],
  ): void {
    for (const victim of victims) {
      for (const survivor of left) {
        const verdict = this.#whyFirst({ victim, survivor, replicaSet, atMs })
        const [gone, stayed] = [this.#lastOf(victim, atMs), this.#lastOf(survivor, atMs)]
        if (!gone || !stayed) continue
        if (verdict === undefined)
          unexplained.push(`${told(gone)} went and ${told(stayed)} stayed: by no rule`)
        else if (isVirtual(stayed) && !isVirtual(gone)) {
          rules.set(verdict, (rules.get(verdict) ?? 0) + 1)
          // What people wrote themselves, and what upstream asks before the cost, explains it. All else is our failure.
          if (!isBeforeCost(verdict) && !hasOwnCost(stayed) && !hasOwnCost(gone))
            unexplained.push(
              `${told(gone)} went and ${told(stayed)} stayed: by "${verdict}", though the cost is ours`,
            )
        }
      }
    }
  }

  #lastOf(uid: string, atMs: number): Pod | undefined {
    return this.#states.get(uid)?.findLast((state) => state.atMs <= atMs && isActive(state.pod))?.pod
  }

  /** The rule by which one went before the other, by what they were shortly before; undefined: none says so. */
  #whyFirst(pair: {
    readonly victim: string
    readonly survivor: string
    readonly replicaSet: string
    readonly atMs: number
  }): Rule | undefined {
    const { victim, survivor, replicaSet, atMs } = pair
    const found = new Set<Rule>()
    // Ages go by powers of two of the time that has passed, and crowds by who was there: both by what its cache was then.
    for (let agoMs = 0; agoMs <= staleMs; agoMs += 25) {
      const nowWallMs = Math.max(atMs - agoMs, this.#sinceMs)
      const moment = { crowds: crowdsOf(this.#relatedTo(replicaSet, nowWallMs)), nowWallMs }
      for (const a of this.#recent(victim, atMs)) {
        for (const b of this.#recent(survivor, atMs)) {
          const { order, rule } = compareRemoval(a, b, moment)
          if (order <= 0) found.add(rule ?? 'held equal')
        }
      }
    }
    const [first] = found
    return first
  }

  /** Newest first. */
  #recent(uid: string, atMs: number): Pod[] {
    const states = (this.#states.get(uid) ?? []).filter((state) => state.atMs <= atMs && isActive(state.pod))
    const last = states.at(-1)
    const fresh = states.filter(
      (state, index) => state === last || (states[index + 1]?.atMs ?? 0) >= atMs - staleMs,
    )
    return fresh.toReversed().map(({ pod }) => pod)
  }

  #relatedTo(replicaSet: string, atMs: number): Pod[] {
    const owner = ownerOf(this.#replicaSets.byUid(replicaSet))
    if (owner === undefined) return []
    return [...this.#states].flatMap(([uid, states]) => {
      const pod = states.findLast((state) => state.atMs < atMs)?.pod
      if (!pod || this.#goneMs(uid) < atMs) return []
      return ownerOf(this.#replicaSets.byUid(controllerOf(pod)?.uid ?? '')) === owner ? [pod] : []
    })
  }
}

function ownerOf(replicaSet: ReplicaSet | undefined): string | undefined {
  return replicaSet?.metadata?.ownerReferences?.find(({ controller }) => controller)?.uid
}

function versionOf({ metadata }: Pod | ReplicaSet): bigint {
  return BigInt(metadata?.resourceVersion ?? '0')
}

function isBeforeCost(rule: Rule): boolean {
  return rule === 'not bound' || rule === 'phase' || rule === 'not ready'
}

function hasOwnCost({ metadata }: Pod): boolean {
  const { [deletionCostAnnotation]: cost, [deletionCostSetAnnotation]: ours } = metadata?.annotations ?? {}
  return cost !== undefined && cost !== ours
}

export function isVirtual({ spec }: Pod): boolean {
  return /^burst-\d+$/.test(spec?.nodeName ?? '')
}

function told({ metadata, spec, status }: Pod): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const cost = metadata?.annotations?.[deletionCostAnnotation] ?? 'none'
  return `${metadata?.name} on ${spec?.nodeName ?? 'no node'} (${status?.phase}, ready ${ready?.status} since ${ready?.lastTransitionTime}, cost ${cost})`
}
