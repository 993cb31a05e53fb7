import type { SpendCaps } from '../../config/spend-caps.ts'
import { parseTimeMs } from '../../model/clock.ts'
import type { Namespace, Node, Pod } from '../../model/kubernetes.ts'
import { compare } from '../../model/money.ts'
import { poolOf } from '../cluster-picture.ts'
import type { Budget, Budgets, Spender } from './budget.ts'
import {
  addNanos,
  commitmentOf,
  lessNanos,
  nanosPerHour,
  noNanos,
  reservation,
  type Commitment,
  type Nanos,
  type Rate,
  type SpendSnapshot,
} from './spend.ts'
import { namesPool, toleratesPool } from './workload-counts.ts'

/** Where a pool's prices come from. */
export interface PricedPool {
  readonly name: string
  /** What all that runs on its nodes may cost together. */
  readonly budget?: SpendCaps | undefined
  /** What such a Pod costs there; undefined: it has no price there. */
  rate?(pod: Pod, atMs: number): Rate | undefined
}

export interface BurstObjects {
  readonly pods: readonly Pod[]
  readonly nodes: readonly Node[]
  readonly namespaces: ReadonlyMap<string, Namespace>
  readonly pools: readonly PricedPool[]
  readonly nowMs: number
}

/** What is spent and reserved of one budget. */
export interface Account {
  readonly commitment: Commitment
  /** What each period costs as a whole if nothing starts any more and nothing ends before it says. */
  readonly forecast: Nanos
  /** Nano-units an hour of all that runs, rounded up. */
  readonly perHour: bigint
  /** What those that run may have cost by now of whom the ledger does not tell yet. */
  readonly underway: Nanos
  /** The part of it that is reserved for a Pod that is not billed yet, by UID. */
  readonly unbilled: ReadonlyMap<string, Nanos>
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

/** Pods that cost money or may soon, with their rates, found once for all policies. */
export class PricedPods {
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
    const at = this.#poolAt(pod)
    const { pools, nowMs } = this.objects
    const rates = pools
      .filter(({ name }) => (at === undefined ? toleratesPool(pod, name) : name === at))
      .flatMap((pool) => pool.rate?.(pod, nowMs) ?? [])
    const [first, ...others] = rates
    const rate = others.reduce((dearest, other) => dearer(dearest, other), first)
    this.#rates.set(pod, rate)
    return rate
  }

  /**
   * The pool where it is; those that it names while it is on none. One that tolerates whatever there is has been given no
   * leave: it takes room of a pool's budget only when it comes there.
   */
  poolsOf(pod: Pod): readonly string[] {
    const at = this.#poolAt(pod)
    if (at !== undefined) return [at]
    return this.objects.pools.flatMap(({ name }) => (namesPool(pod, name) ? [name] : []))
  }

  #poolAt({ spec }: Pod): string | undefined {
    return this.#poolOfNode.get(spec?.nodeName ?? '')
  }

  home(namespace: string): Namespace | undefined {
    return this.objects.namespaces.get(namespace)
  }
}

/** Rates of different currencies cannot be compared; the first stands. */
function dearer(a: Rate | undefined, b: Rate): Rate | undefined {
  return a && a.currency === b.currency && compare(b.perHour, a.perHour) > 0 ? b : a
}

interface OpenAccount {
  readonly budget: Budget
  spent: Nanos
  reserved: Nanos
  /** Of `reserved`: of Pods that are on no node yet. */
  waiting: Nanos
  perHour: bigint
  underway: Nanos
  readonly unbilled: Map<string, Nanos>
}

/** One pass over the ledger's records and the Pods: each is reckoned once, however many budgets it counts for. */
export function accountsOf(
  budgets: Budgets,
  spend: SpendSnapshot | undefined,
  priced: PricedPods,
): ReadonlyMap<string, Account> {
  const open = new Map(budgets.all.map((budget) => [budget.id, openAccount(budget)]))
  const billed = bookRecords(spend, priced, (spender, currency) =>
    accountsFor(open, budgets, { spender, home: priced.home(spender.namespace), currency }),
  )
  bookUnbilled(priced, billed, (spender, currency) =>
    accountsFor(open, budgets, { spender, home: priced.home(spender.namespace), currency }),
  )
  return new Map([...open].map(([id, account]) => [id, closed(account)]))
}

function openAccount(budget: Budget): OpenAccount {
  return {
    budget,
    spent: noNanos,
    reserved: noNanos,
    waiting: noNanos,
    underway: noNanos,
    perHour: 0n,
    unbilled: new Map(),
  }
}

function closed({ spent, reserved, waiting, underway, perHour, unbilled }: OpenAccount): Account {
  const forecast = addNanos(spent, lessNanos(reserved, waiting))
  return { commitment: { spent, reserved }, forecast, perHour, underway, unbilled }
}

type FindAccounts = (spender: Spender, currency: string) => readonly OpenAccount[]

function accountsFor(
  open: ReadonlyMap<string, OpenAccount>,
  budgets: Budgets,
  {
    spender,
    home,
    currency,
  }: { readonly spender: Spender; readonly home: Namespace | undefined; readonly currency: string },
): readonly OpenAccount[] {
  return budgets.of(spender, home).flatMap(({ id, caps }) => {
    const account = open.get(id)
    return account && caps.currency === currency ? [account] : []
  })
}

/** UIDs of those that are billed just now. */
function bookRecords(
  spend: SpendSnapshot | undefined,
  priced: PricedPods,
  accountsOfSpender: FindAccounts,
): ReadonlySet<string> {
  const { nowMs } = priced.objects
  const billed = new Set<string>()
  for (const record of spend?.records ?? []) {
    if (record.open) billed.add(record.open.uid)
    const { namespace, labels, pool, currency } = record
    const accounts = accountsOfSpender({ namespace, labels, pools: [pool] }, currency)
    if (accounts.length === 0) continue
    const pod = record.open && priced.byUid.get(record.open.uid)
    const endsMs = pod ? endOf(pod, nowMs) : Number.POSITIVE_INFINITY
    const { spent, reserved } = commitmentOf(record, { atMs: spend?.atMs ?? nowMs, nowMs, endsMs })
    for (const account of accounts) {
      account.spent = addNanos(account.spent, spent)
      account.reserved = addNanos(account.reserved, reserved)
      if (record.open) account.perHour += nanosPerHour(record.open.rate)
    }
  }
  return billed
}

function bookUnbilled(
  priced: PricedPods,
  billed: ReadonlySet<string>,
  accountsOfSpender: FindAccounts,
): void {
  const { nowMs } = priced.objects
  for (const pod of priced.pods) {
    const uid = pod.metadata?.uid ?? ''
    if (billed.has(uid)) continue
    const rate = priced.rateOf(pod)
    if (!rate) continue
    const accounts = accountsOfSpender({ ...selectedOf(pod), pools: priced.poolsOf(pod) }, rate.currency)
    if (accounts.length === 0) continue
    const boundMs = boundSinceMs(pod, nowMs)
    const wanted = reservation(rate, { fromMs: boundMs, toMs: endOf(pod, nowMs) }, nowMs)
    const soFar = reservation(rate, { fromMs: boundMs, toMs: nowMs }, nowMs)
    for (const account of accounts) {
      account.unbilled.set(uid, wanted)
      account.reserved = addNanos(account.reserved, wanted)
      if (pod.spec?.nodeName) account.perHour += nanosPerHour(rate)
      else account.waiting = addNanos(account.waiting, wanted)
      account.underway = addNanos(account.underway, soFar)
    }
  }
}

/** With that much set aside for the Pod, in place of what was before. */
export function reserve(account: Account, uid: string, wanted: Nanos): Account {
  const { commitment, unbilled } = account
  const without = lessNanos(commitment.reserved, unbilled.get(uid) ?? noNanos)
  return {
    ...account,
    commitment: { ...commitment, reserved: addNanos(without, wanted) },
    unbilled: new Map([...unbilled, [uid, wanted]]),
  }
}
