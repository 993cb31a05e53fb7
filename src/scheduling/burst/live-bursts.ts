import type { BurstPolicyKind } from '../../config/burst-policy.ts'
import type { KubeApi, Store } from '../../kube/api.ts'
import { OptionalKind } from '../../kube/optional-kind.ts'
import type { Clock } from '../../model/clock.ts'
import { errorMessage } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import type { Log } from '../../telemetry/log.ts'
import { isOver } from '../cluster-picture.ts'
import type { HeldBy } from '../judgement.ts'
import type { BurstFacts } from './burst-picture.ts'
import { burstPolicyOf, inOrder, type BurstPolicy } from './burst-policy.ts'
import { burstResources, type BurstPolicyObject } from './burst-policy-object.ts'
import type { BurstSource } from './burst-source.ts'
import type { SpendSnapshot } from './spend.ts'

export interface LiveBurstsOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch' | 'getText'>
  /** What the ledger says; asked every few seconds while there is any budget. */
  readonly readSpend: (signal: AbortSignal) => Promise<SpendSnapshot>
  /** Whether a pool or a namespace has one. */
  readonly hasBudgets: () => boolean
  readonly pods: Store<Pod>
  /** Whether the Pod is bound to a virtual node. */
  readonly isOut: (pod: Pod) => boolean
  readonly clock: Clock
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

/** What ended in the meantime is given back to a cap that late; what began is counted from the Pods at once. */
const spendAgeMs = 5_000
const tickMs = 500
/** A threshold that the ledger does not confirm yet is a little away. */
const rereadMs = 500

/** They are here within a second or two; who may not read them, or gets no answer, is not to stand still for ever. */
const patienceMs = 30_000

/** The policies of the cluster, and what was spent on whom they select, as they are now. */
export class LiveBursts implements BurstSource {
  readonly #options: LiveBurstsOptions
  readonly #kinds: Readonly<Record<BurstPolicyKind, OptionalKind<BurstPolicyObject>>>
  readonly #listeners = new Set<() => void>()
  #policies: readonly BurstPolicy[] | undefined
  #isPatient = true
  #spend: SpendSnapshot | undefined
  #held: readonly HeldBy[] = []
  /** With the wall time at which each had ended. */
  #gone: readonly { readonly pod: Pod; readonly atMs: number }[] = []
  /** UIDs of Pods that are bound, and that their node does not let in for a budget. */
  #turnedAway: ReadonlySet<string> = new Set()
  /** Wall time at which a budget comes to a threshold: the ledger is then read again. */
  #thresholdMs = Number.POSITIVE_INFINITY

  constructor(options: LiveBurstsOptions) {
    this.#options = options
    const kind = (name: BurstPolicyKind): OptionalKind<BurstPolicyObject> =>
      new OptionalKind({ ...options, resource: burstResources[name] })
    this.#kinds = { BurstPolicy: kind('BurstPolicy'), ClusterBurstPolicy: kind('ClusterBurstPolicy') }
    for (const each of Object.values(this.#kinds)) each.subscribe(() => this.#policiesChanged())
  }

  facts(): BurstFacts {
    this.#policies ??= this.#read()
    return {
      policies: this.#policies,
      spend: this.#spend,
      gone: this.#gone.map(({ pod }) => pod),
      turnedAway: this.#turnedAway,
    }
  }

  /**
   * Whether policies are not known, but may be at any moment: of use where doing without them is wrong, and doing nothing
   * for ever is worse. Overflow does wait for ever, for what it does costs money.
   */
  get awaited(): boolean {
    return this.#isPatient && this.facts().policies === undefined
  }

  subscribe(listener: () => void): () => void {
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  tellHeld(held: readonly HeldBy[]): void {
    this.#held = held
  }

  /** Of the last look at all Pods that wait. */
  get held(): readonly HeldBy[] {
    return this.#held
  }

  /** The next instant at which what runs comes to a threshold of a budget, by the rates. */
  expectThreshold(wallMs: number | undefined): void {
    this.#thresholdMs = wallMs ?? Number.POSITIVE_INFINITY
  }

  /** Whether the Pod is kept waiting at its node's door, and so costs nothing. */
  turnAway(uid: string, isTurnedAway: boolean): void {
    if (this.#turnedAway.has(uid) === isTurnedAway) return
    const next = new Set(this.#turnedAway)
    if (isTurnedAway) next.add(uid)
    else next.delete(uid)
    this.#turnedAway = next
  }

  /** As the API server has it now; undefined: gone. */
  objectOf({ kind, uid }: BurstPolicy): BurstPolicyObject | undefined {
    return this.#kinds[kind].store.byUid(uid)
  }

  /** Follows policies and money until the signal is aborted, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const end = this.#options.pods.subscribe(({ before, after }) => {
      if (before && !after) this.turnAway(before.metadata?.uid ?? '', false)
      if (before && !isOver(before) && (!after || isOver(after))) this.#noteEnd(before)
    })
    signal.addEventListener('abort', end, { once: true })
    await Promise.all([
      ...Object.values(this.#kinds).map((kind) => kind.run(signal)),
      this.#followSpend(signal),
      this.#losePatience(signal),
    ])
  }

  async #losePatience(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(patienceMs, signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    const { awaited } = this
    this.#isPatient = false
    if (awaited) this.#tell()
  }

  #noteEnd(pod: Pod): void {
    if (!this.#isSpendWanted() || !this.#options.isOut(pod)) return
    if (this.#turnedAway.has(pod.metadata?.uid ?? '')) return
    this.#gone = [...this.#gone, { pod, atMs: this.#options.clock.wallMs() }]
  }

  #isSpendWanted(): boolean {
    return this.facts().policies?.some(({ spec }) => spec.spend) || this.#options.hasBudgets()
  }

  #read(): readonly BurstPolicy[] | undefined {
    const kinds = Object.entries(this.#kinds) as [BurstPolicyKind, OptionalKind<BurstPolicyObject>][]
    if (kinds.some(([, kind]) => !kind.known)) return undefined
    return inOrder(
      kinds.flatMap(([name, kind]) => kind.store.list().map((object) => burstPolicyOf(name, object))),
    )
  }

  #policiesChanged(): void {
    const before = this.#policies
    this.#policies = this.#read()
    // A status that we have written changes nothing.
    if (before && this.#policies && sameSpecs(before, this.#policies)) return
    this.#tell()
  }

  async #followSpend(signal: AbortSignal): Promise<void> {
    const { clock, readSpend, log } = this.#options
    let readAtMs = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      try {
        const ageMs = clock.monotonicMs() - readAtMs
        const isAtThreshold = clock.wallMs() >= this.#thresholdMs && ageMs >= rereadMs
        if ((ageMs >= spendAgeMs || isAtThreshold) && this.#isSpendWanted()) {
          readAtMs = clock.monotonicMs()
          this.#thresholdMs = Number.POSITIVE_INFINITY
          const spend = await readSpend(signal)
          this.#spend = spend
          this.#gone = this.#gone.filter(({ atMs }) => atMs >= spend.atMs)
          this.#tell()
        }
        const leftMs = this.#thresholdMs - clock.wallMs()
        await clock.sleep(leftMs > 0 ? Math.min(tickMs, leftMs) : tickMs, signal)
      } catch (error) {
        if (signal.aborted) return
        // What was read last counts on: it only knows of more than runs by now, never of less.
        log.warn({ error: errorMessage(error) }, 'what was spent so far cannot be read')
      }
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

function sameSpecs(before: readonly BurstPolicy[], after: readonly BurstPolicy[]): boolean {
  return (
    before.length === after.length &&
    before.every((policy, index) => {
      const now = after[index]
      return policy.uid === now?.uid && policy.generation === now.generation
    })
  )
}
