import type { Pod } from '../../model/kubernetes.ts'

/**
 * What the admin API answers: shared by the server, the command line and the console's pages. Money and amounts are
 * decimal strings, times RFC 3339 or wall milliseconds as named.
 */
export interface StatusView {
  readonly clusterName: string
  readonly version: string
  readonly atMs: number
  readonly pools: readonly PoolView[]
  readonly nodes: readonly NodeView[]
  readonly pods: readonly PodView[]
  readonly spendPerHour: readonly SpendView[]
  /** Why the ledger does not tell what Pods cost; empty while it does. */
  readonly ledgerTrouble: string
  readonly ledger: LedgerView
}

/** How the ledger is: as the condition of the nodes has it. */
export interface LedgerView {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  /** The last check of it; undefined: none yet. Wall milliseconds. */
  readonly checkedAtMs: number | undefined
}

export interface PoolView {
  readonly name: string
  readonly backend: string
  readonly priceBook: string
  readonly nodes: number
  readonly readyNodes: number
  readonly pods: number
}

export interface NodeView {
  readonly name: string
  readonly pool: string
  readonly ready: boolean
  readonly schedulable: boolean
  readonly pods: number
  readonly podLimit: number
  /** Why it is not ready; empty when it is. */
  readonly reason: string
}

export interface PodView {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly phase: string
  readonly ready: boolean
  /** As in `0.5 CPU 1 GiB`; empty before it is billed. */
  readonly spec: string
  readonly perHour: SpendView | undefined
  readonly billedSinceMs: number | undefined
}

export interface SpendView {
  readonly currency: string
  readonly amount: string
}

export type BillGrouping = 'namespace' | 'workload' | 'pod' | 'pool' | 'day' | `label:${string}`

export interface BillQuery {
  readonly fromMs: number
  readonly toMs: number
  readonly by: readonly BillGrouping[]
  readonly filter: BillFilter
  /** Each Pod's lines, too. Left out: only where the bill is by Pod alone. */
  readonly explain?: boolean
}

/** Empty: all. */
export interface BillFilter {
  readonly namespaces: readonly string[]
  readonly pools: readonly string[]
  readonly workloads: readonly string[]
  readonly labels: readonly string[]
  readonly pod?: string
}

/** Charges as FOCUS has them. */
export interface FocusQuery {
  readonly fromMs: number
  readonly toMs: number
  readonly filter: BillFilter
  readonly version: '1.2' | '1.4'
  readonly parties: {
    readonly operator: string
    readonly host: string
    readonly accountName: string | undefined
  }
}

/** A Pod of the cluster, or one that is not there yet. */
export type ExplainQuery = { readonly pool?: string } & (
  { readonly namespace: string; readonly name: string } | { readonly pod: Pod }
)

/** Where a Pod goes and why, and what it would cost in each pool. */
export interface ExplainView {
  readonly namespace: string
  readonly name: string
  /** Whether Pods are let out at all. */
  readonly overflow: boolean
  readonly outcome: 'server' | 'virtual' | 'waits' | 'stays' | 'bound' | 'over'
  readonly because: string
  readonly pool: string | undefined
  /** Where it is, or will likely be: equally likely ones together. */
  readonly nodes: readonly string[]
  /** In order; the last one that does not pass has decided. */
  readonly rules: readonly { readonly rule: string; readonly passes: boolean; readonly evidence: string }[]
  readonly says: readonly {
    readonly node: string
    readonly pool: string | undefined
    readonly answer: string
  }[]
  readonly leaves: string
  /** What its sandbox would be made by in each pool, or why it would get none there. */
  readonly sandboxes?: readonly { readonly pool: string; readonly says: string }[]
  /** Fields of a Pod that is not there yet that the cluster's API server is too old to keep. Left out: it keeps all. */
  readonly dropped?: readonly string[]
  /** When it goes back to a server, or why never; undefined: it is on no virtual node. */
  readonly movesBack: string | undefined
  /** What became of the words of other products in it. */
  readonly foreign: readonly {
    readonly product: string
    readonly word: string
    readonly becomes: 'translated' | 'needless' | 'lost'
    readonly says: string
  }[]
  readonly prices: readonly PriceView[]
}

export interface PriceView {
  readonly pool: string
  readonly priceBook: string
  readonly currency: string
  readonly steps: readonly string[]
  readonly size: SizeView | undefined
  /** Why there is no size. */
  readonly error: string | undefined
  readonly cheaper:
    { readonly change: string; readonly size: SizeView; readonly savedPercent: number } | undefined
}

export interface SizeView {
  readonly spec: string
  readonly perSecond: string
  readonly perHour: string
  readonly unusedPercent: { readonly cpu: number; readonly memory: number }
}

/** How all budgets stand. */
export interface BudgetsView {
  readonly atMs: number
  readonly budgets: readonly BudgetView[]
}

export interface BudgetView {
  readonly owner: 'BurstPolicy' | 'ClusterBurstPolicy' | 'VirtualNodePool' | 'Namespace'
  /** As in `burst`, or `shop/web` of a BurstPolicy. */
  readonly name: string
  readonly state: 'WithinBudget' | 'NearCap' | 'NoRoom' | 'CapSpent' | 'Unreadable' | 'SpendUnknown'
  /** Nothing more starts under it. */
  readonly isClosed: boolean
  readonly message: string
  /** What comes of it if all goes on as it is; empty while that is not known. */
  readonly outlook: string
  readonly currency: string
  readonly atCap: 'StopNew' | 'Stop'
  readonly warnAtPercent: number
  /** Of all that runs. */
  readonly perHour: string
  readonly periods: readonly BudgetPeriodView[]
}

export interface BudgetPeriodView {
  readonly period: 'hour' | 'day' | 'month'
  readonly cap: string
  readonly spent: string
  readonly reserved: string
  readonly forecast: string
  readonly endsMs: number
  /** When the cap is spent at the earliest; left out: not in this period, or it is already. */
  readonly spentMs: number | undefined
}

export type AdmissionMeans = 'policy' | 'webhook' | 'nothing'

/** What on the cluster will not work with virtual nodes. Problems first. */
export interface CheckView {
  /** By what objects are changed as they are created, if at all. */
  readonly admission: { readonly placement: AdmissionMeans; readonly daemonSets: AdmissionMeans }
  readonly findings: readonly {
    readonly level: 'problem' | 'note'
    readonly finding: string
    readonly remedy: string
  }[]
}

/** Wall milliseconds. Without `fromMs`: from the last seal on. */
export interface SealQuestion {
  readonly fromMs?: number
  readonly toMs: number
  readonly acceptUncertain?: boolean
}

/** About one Pod, by UID, or a namespace as a whole. */
export interface AdjustQuestion {
  readonly pod?: string
  readonly namespace?: string
  readonly amount: string
  readonly currency?: string
  readonly reason: string
  readonly author: string
  readonly id?: string
  readonly atMs?: number
}

/** What the rooms behind it give. `bill` and `verify` pass on billing's own JSON. */
export interface AdminReadModel {
  status(signal: AbortSignal): Promise<StatusView>
  bill(query: BillQuery, signal: AbortSignal): Promise<unknown>
  /** CSV, piece by piece. */
  focus(query: FocusQuery, signal: AbortSignal): AsyncIterable<string>
  verify(signal: AbortSignal): Promise<unknown>
  /** Who knows of which Pod: billing's own JSON. */
  reconcile(signal: AbortSignal): Promise<unknown>
  /** Lines of JSON, as docs/reference/ledger-export.md has them. */
  exportLedger(signal: AbortSignal): AsyncIterable<string>
  /** The two that write. */
  seal(question: SealQuestion, signal: AbortSignal): Promise<unknown>
  adjust(question: AdjustQuestion, signal: AbortSignal): Promise<unknown>
  explain(query: ExplainQuery, signal: AbortSignal): Promise<ExplainView>
  check(signal: AbortSignal): Promise<CheckView>
  budgets(): BudgetsView
  metrics(): Promise<string>
}
