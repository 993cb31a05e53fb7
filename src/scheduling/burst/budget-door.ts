import type { Store } from '../../kube/api.ts'
import type { Clock } from '../../model/clock.ts'
import type { Namespace, Node, Pod } from '../../model/kubernetes.ts'
import { isOver } from '../cluster-picture.ts'
import { doorRefusal, type BudgetRefusal } from './budget-rules.ts'
import type { PricedPool } from './accounts.ts'
import {
  burstPictureOf,
  withBurstPod,
  withoutBurstPod,
  type BurstFacts,
  type BurstPicture,
} from './burst-picture.ts'
import { periodAt } from './spend.ts'

export interface BudgetDoorOptions {
  readonly bursts: {
    facts(): BurstFacts
    turnAway(uid: string, isTurnedAway: boolean): void
  }
  readonly pods: Store<Pod>
  readonly nodes: Store<Node>
  readonly namespaces: Store<Namespace>
  readonly pools: () => readonly PricedPool[]
  readonly clock: Clock
}

/** A crowd that comes at once is reckoned with one picture, in which whoever is let in is counted. */
const pictureAgeMs = 1_000

/** How long the controller's watch may be behind the node's: until then whom we have let in is counted from memory. */
const rememberedMs = 60_000

interface Taken {
  readonly picture: BurstPicture
  readonly atMs: number
  readonly monotonicMs: number
}

interface Admitted {
  readonly pod: Pod
  readonly pool: string
  readonly monotonicMs: number
}

/**
 * What pools and namespaces may cost, at the doors of all virtual nodes: one Pod after the other, each with what those
 * before it have been promised. Here the bound on what a budget costs is kept, however a Pod has come.
 */
export class BudgetDoor {
  readonly #options: BudgetDoorOptions
  #taken: Taken | undefined
  readonly #admitted = new Map<string, Admitted>()

  constructor(options: BudgetDoorOptions) {
    this.#options = options
    options.pods.subscribe(({ before, after }) => {
      if (before && (!after || isOver(after))) this.#admitted.delete(before.metadata?.uid ?? '')
    })
  }

  /** Why the Pod may not start on a node of that pool now; undefined: it may, and is counted. */
  ask(pod: Pod, poolName: string): BudgetRefusal | undefined {
    const { bursts, namespaces, pools, clock } = this.#options
    // It was let in before, by a process that has ended since: what began is never refused for money.
    if (pod.status?.startTime !== undefined) return undefined
    const pool = pools().find(({ name }) => name === poolName)
    if (!pool) return undefined
    const nowMs = clock.wallMs()
    const picture = this.#picture(nowMs)
    if (picture.budgets.all.length === 0) return undefined
    const uid = pod.metadata?.uid ?? ''
    const home = namespaces.get({ name: pod.metadata?.namespace ?? '' })
    const refusal = doorRefusal(pool, { pod, home, bursts: picture, nowMs })
    bursts.turnAway(uid, refusal !== undefined)
    if (refusal) {
      this.#admitted.delete(uid)
      this.#keep(withoutBurstPod(picture, uid))
      return refusal
    }
    this.#admitted.set(uid, { pod, pool: poolName, monotonicMs: clock.monotonicMs() })
    this.#keep(withBurstPod(picture, pod, { pool: poolName, rate: pool.rate?.(pod, nowMs), home, nowMs }))
    return undefined
  }

  #keep(picture: BurstPicture): void {
    if (this.#taken) this.#taken = { ...this.#taken, picture }
  }

  #picture(nowMs: number): BurstPicture {
    const { bursts, clock } = this.#options
    const monotonicMs = clock.monotonicMs()
    const facts = bursts.facts()
    const taken = this.#taken
    const isFresh =
      taken &&
      monotonicMs - taken.monotonicMs < pictureAgeMs &&
      taken.picture.spend === facts.spend &&
      periodAt('hour', taken.atMs).toMs > nowMs
    if (isFresh) return taken.picture
    const picture = this.#withAdmitted(this.#reckon(facts, nowMs), { nowMs, monotonicMs })
    this.#taken = { picture, atMs: nowMs, monotonicMs }
    return picture
  }

  #reckon(facts: BurstFacts, nowMs: number): BurstPicture {
    const { pods, nodes, namespaces, pools } = this.#options
    const homes = new Map(namespaces.list().map((home) => [home.metadata?.name ?? '', home]))
    const objects = { pods: pods.list(), nodes: nodes.list(), namespaces: homes, pools: pools(), nowMs }
    return burstPictureOf(facts, objects)
  }

  #withAdmitted(
    picture: BurstPicture,
    { nowMs, monotonicMs }: { readonly nowMs: number; readonly monotonicMs: number },
  ): BurstPicture {
    const { pods, namespaces, pools } = this.#options
    let all = picture
    for (const [uid, { pod, pool: name, monotonicMs: sinceMs }] of this.#admitted) {
      // Once it is seen to be bound it is counted by that.
      if (pods.byUid(uid)?.spec?.nodeName || monotonicMs - sinceMs > rememberedMs) {
        this.#admitted.delete(uid)
        continue
      }
      const rate = pools()
        .find((one) => one.name === name)
        ?.rate?.(pod, nowMs)
      const home = namespaces.get({ name: pod.metadata?.namespace ?? '' })
      all = withBurstPod(all, pod, { pool: name, rate, home, nowMs })
    }
    return all
  }
}
