import type { Namespace, Pod } from '../../model/kubernetes.ts'
import { isOver } from '../cluster-picture.ts'
import {
  accountsOf,
  committedWithout,
  endOf,
  PricedPods,
  reserve,
  selectedOf,
  type Account,
  type BurstObjects,
} from './accounts.ts'
import { Budgets } from './budget.ts'
import type { BurstPolicy } from './burst-policy.ts'
import { reservation, type Rate, type SpendSnapshot } from './spend.ts'
import {
  counted,
  noCount,
  nodeNames,
  placeOf,
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
  /** UIDs of Pods that their node does not let in for a budget: they cost nothing. Left out: none. */
  readonly turnedAway?: ReadonlySet<string>
}

/** The policies, and how far the Pods that are there have used them up. */
export interface BurstPicture extends BurstFacts {
  readonly counts: ReadonlyMap<string, WorkloadCount>
  /** Of policies, pools and namespaces. */
  readonly budgets: Budgets
  /** By id of each budget. */
  readonly accounts: ReadonlyMap<string, Account>
}

/** Pure. Pods that may go and are not bound yet count as if they had gone. */
export function burstPictureOf(facts: BurstFacts, objects: BurstObjects): BurstPicture {
  const policies = facts.policies ?? []
  const budgets = new Budgets({ ...objects, policies })
  const none = { ...facts, counts: new Map(), budgets, accounts: new Map() }
  if (policies.length === 0 && budgets.all.length === 0) return none
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
  if (budgets.all.length === 0) return { ...none, counts }
  const costing = out.filter(({ metadata }) => !facts.turnedAway?.has(metadata?.uid ?? ''))
  const priced = new PricedPods([...costing, ...facts.gone], objects)
  return { ...none, counts, accounts: accountsOf(budgets, facts.spend, priced) }
}

/** The same after one more Pod was let out, to a pool of that rate. */
export function withBurstPod(
  picture: BurstPicture,
  pod: Pod,
  {
    pool,
    rate,
    home,
    nowMs,
  }: {
    readonly pool: string
    readonly rate: Rate | undefined
    readonly home: Namespace | undefined
    readonly nowMs: number
  },
): BurstPicture {
  const { budgets } = picture
  if ((picture.policies ?? []).length === 0 && budgets.all.length === 0) return picture
  const counts = new Map(picture.counts)
  if (!toleratesVirtualNodes(pod)) {
    const key = workloadKey(pod)
    counts.set(key, counted(counts.get(key) ?? noCount, 'virtual'))
  }
  const accounts = new Map(picture.accounts)
  for (const { id } of budgets.of({ ...selectedOf(pod), pools: [pool] }, home)) {
    const account = accounts.get(id)
    if (!account || !rate) continue
    const wanted = reservation(rate, { fromMs: nowMs, toMs: endOf(pod, nowMs) }, nowMs)
    accounts.set(id, reserve(account, pod.metadata?.uid ?? '', wanted))
  }
  return { ...picture, counts, accounts }
}

/** The same after it is known that the Pod costs nothing: its node does not let it in. */
export function withoutBurstPod(picture: BurstPicture, uid: string): BurstPicture {
  const accounts = new Map(picture.accounts)
  for (const [id, account] of accounts) {
    if (!account.unbilled.has(uid)) continue
    const unbilled = new Map(account.unbilled)
    unbilled.delete(uid)
    accounts.set(id, { ...account, unbilled, commitment: committedWithout(account, uid) })
  }
  return { ...picture, accounts }
}
