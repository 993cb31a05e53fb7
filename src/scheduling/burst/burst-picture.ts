import type { Namespace, Node, Pod } from '../../model/kubernetes.ts'
import { compare } from '../../model/money.ts'
import { parseTimeMs } from '../../model/clock.ts'
import { isOver, poolOf } from '../cluster-picture.ts'
import { selects, type BurstPolicy } from './burst-policy.ts'
import {
  addNanos,
  commitmentOf,
  lessNanos,
  noNanos,
  nothingCommitted,
  reservation,
  type Commitment,
  type Nanos,
  type Rate,
  type SpendSnapshot,
} from './spend.ts'
import {
  counted,
  noCount,
  nodeNames,
  placeOf,
  toleratesPool,
  toleratesVirtualNodes,
  workloadKey,
  type WorkloadCount,
} from './workload-counts.ts'

/** What is known of policies and money at one moment. */
export interface BurstFacts {
  /** As inOrder has them. Undefined: not known yet. */
  readonly policies: readonly BurstPolicy[] | undefined
  /** Undefined: not known yet. Only asked for by policies with caps. */
  readonly spend: SpendSnapshot | undefined
  /** Pods that were out and have ended since the spend was read: what they cost is in no figure yet. */
  readonly gone: readonly Pod[]
}

/** Where a pool's prices come from. */
export interface PricedPool {
  readonly name: string
  /** What such a Pod costs there; undefined: it has no price there. */
  rate?(pod: Pod, atMs: number): Rate | undefined
}

/** The policies, and how far the Pods that are there have used them up. */
export interface BurstPicture extends BurstFacts {
  readonly counts: ReadonlyMap<string, WorkloadCount>
  /** By UID of each policy with caps. */
  readonly accounts: ReadonlyMap<string, Account>
}

/** What is spent and reserved of one policy's caps. */
export interface Account {
  readonly commitment: Commitment
  /** The part of it that is reserved for a Pod that is not billed yet, by UID. */
  readonly unbilled: ReadonlyMap<string, Nanos>
}

export interface BurstObjects {
  readonly pods: readonly Pod[]
  readonly nodes: readonly Node[]
  readonly namespaces: ReadonlyMap<string, Namespace>
  readonly pools: readonly PricedPool[]
  readonly nowMs: number
}

/** Pure. Pods that may go and are not bound yet count as if they had gone. */
export function burstPictureOf(facts: BurstFacts, objects: BurstObjects): BurstPicture {
  const policies = facts.policies ?? []
  if (policies.length === 0) return { ...facts, counts: new Map(), accounts: new Map() }
  const names = nodeNames(objects.nodes)
  const counts = new Map<string, WorkloadCount>()
  const out: Pod[] = []
  for (const pod of objects.pods) {
    if (isOver(pod)) continue
    const place = placeOf(pod, names)
    if (place === 'elsewhere') continue
    if (place === 'virtual') out.push(pod)
    const key = workloadKey(pod)
    counts.set(key, counted(counts.get(key) ?? noCount, place))
  }
  const capped = policies.filter(({ spec }) => spec.spend)
  const priced = capped.length > 0 ? new PricedPods([...out, ...facts.gone], objects) : undefined
  const accounts = new Map(
    capped.map((policy) => [policy.uid, priced ? accountOf(policy, facts.spend, priced) : emptyAccount]),
  )
  return { ...facts, counts, accounts }
}

/** The same after one more Pod was let out, to a pool of that rate. */
export function withBurstPod(
  picture: BurstPicture,
  pod: Pod,
  {
    rate,
    home,
    nowMs,
  }: { readonly rate: Rate | undefined; readonly home: Namespace | undefined; readonly nowMs: number },
): BurstPicture {
  const policies = picture.policies ?? []
  if (policies.length === 0) return picture
  const counts = new Map(picture.counts)
  if (!toleratesVirtualNodes(pod)) {
    const key = workloadKey(pod)
    counts.set(key, counted(counts.get(key) ?? noCount, 'virtual'))
  }
  const accounts = new Map(picture.accounts)
  for (const policy of policies) {
    const account = accounts.get(policy.uid)
    if (!account || !rate || !selects(policy, selectedOf(pod), home)) continue
    const uid = pod.metadata?.uid ?? ''
    const wanted = reservation(rate, { fromMs: nowMs, toMs: endOf(pod, nowMs) }, nowMs)
    accounts.set(policy.uid, reserve(account, uid, wanted))
  }
  return { ...picture, counts, accounts }
}

export function selectedOf({ metadata }: Pod): {
  namespace: string
  labels: Record<string, string> | undefined
} {
  return { namespace: metadata?.namespace ?? '', labels: metadata?.labels }
}

/** The commitment without what is already reserved for this Pod, whose own reservation is not to stand in its way. */
export function committedWithout({ commitment, unbilled }: Account, uid: string): Commitment {
  const own = unbilled.get(uid)
  return own ? { ...commitment, reserved: lessNanos(commitment.reserved, own) } : commitment
}

const graceByDefaultSeconds = 30

/** When the Pod will have ended by itself; Infinity: nobody knows. Its grace comes after its deadline. */
export function endOf({ spec, status }: Pod, nowMs: number): number {
  if (spec?.activeDeadlineSeconds === undefined) return Number.POSITIVE_INFINITY
  const { activeDeadlineSeconds, terminationGracePeriodSeconds = graceByDefaultSeconds } = spec
  const fromMs = status?.startTime ? parseTimeMs(status.startTime) : nowMs
  return fromMs + (activeDeadlineSeconds + terminationGracePeriodSeconds) * 1000
}

/** Nothing is billed before; the ledger tells of it a moment later. */
function boundSinceMs({ spec, status }: Pod, nowMs: number): number {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  const isBound = spec?.nodeName && scheduled?.status === 'True' && scheduled.lastTransitionTime
  return isBound ? parseTimeMs(isBound) : nowMs
}

const emptyAccount: Account = { commitment: nothingCommitted, unbilled: new Map() }

/** Pods that cost money or may soon, with their rates, found once for all policies. */
class PricedPods {
  readonly pods: readonly Pod[]
  readonly objects: BurstObjects
  readonly byUid: ReadonlyMap<string, Pod>
  readonly #poolOfNode: ReadonlyMap<string, string>
  readonly #rates = new Map<Pod, Rate | undefined>()

  constructor(pods: readonly Pod[], objects: BurstObjects) {
    this.pods = pods
    this.objects = objects
    this.byUid = new Map(pods.map((pod) => [pod.metadata?.uid ?? '', pod]))
    this.#poolOfNode = new Map(
      objects.nodes.flatMap((node) => {
        const pool = poolOf(node)
        return pool === undefined ? [] : [[node.metadata?.name ?? '', pool] as const]
      }),
    )
  }

  /** Of the pool where it is; of the dearest that it may go to while it is on none. */
  rateOf(pod: Pod): Rate | undefined {
    if (this.#rates.has(pod)) return this.#rates.get(pod)
    const at = this.#poolOfNode.get(pod.spec?.nodeName ?? '')
    const { pools, nowMs } = this.objects
    const rates = pools
      .filter(({ name }) => (at === undefined ? toleratesPool(pod, name) : name === at))
      .flatMap((pool) => pool.rate?.(pod, nowMs) ?? [])
    const [first, ...others] = rates
    const rate = others.reduce((dearest, other) => dearer(dearest, other), first)
    this.#rates.set(pod, rate)
    return rate
  }

  home(namespace: string): Namespace | undefined {
    return this.objects.namespaces.get(namespace)
  }
}

/** Rates of different currencies cannot be compared; the first stands. */
function dearer(a: Rate | undefined, b: Rate): Rate | undefined {
  return a && a.currency === b.currency && compare(b.perHour, a.perHour) > 0 ? b : a
}

function accountOf(policy: BurstPolicy, spend: SpendSnapshot | undefined, priced: PricedPods): Account {
  const { nowMs } = priced.objects
  const { currency } = policy.spec.spend ?? {}
  const billed = new Set<string>()
  let [spent, reserved] = [noNanos, noNanos]
  for (const record of spend?.records ?? []) {
    if (record.open) billed.add(record.open.uid)
    if (record.currency !== currency || !selects(policy, record, priced.home(record.namespace))) continue
    const pod = record.open && priced.byUid.get(record.open.uid)
    const endsMs = pod ? endOf(pod, nowMs) : Number.POSITIVE_INFINITY
    const committed = commitmentOf(record, { atMs: spend?.atMs ?? nowMs, nowMs, endsMs })
    spent = addNanos(spent, committed.spent)
    reserved = addNanos(reserved, committed.reserved)
  }
  const unbilled = new Map<string, Nanos>()
  for (const pod of priced.pods) {
    const uid = pod.metadata?.uid ?? ''
    if (billed.has(uid) || !selects(policy, selectedOf(pod), priced.home(pod.metadata?.namespace ?? '')))
      continue
    const rate = priced.rateOf(pod)
    if (!rate || rate.currency !== currency) continue
    const wanted = reservation(rate, { fromMs: boundSinceMs(pod, nowMs), toMs: endOf(pod, nowMs) }, nowMs)
    unbilled.set(uid, wanted)
    reserved = addNanos(reserved, wanted)
  }
  return { commitment: { spent, reserved }, unbilled }
}

function reserve({ commitment, unbilled }: Account, uid: string, wanted: Nanos): Account {
  const without = lessNanos(commitment.reserved, unbilled.get(uid) ?? noNanos)
  return {
    commitment: { ...commitment, reserved: addNanos(without, wanted) },
    unbilled: new Map([...unbilled, [uid, wanted]]),
  }
}
