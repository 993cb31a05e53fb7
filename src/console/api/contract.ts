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

export type BillGrouping = 'namespace' | 'workload' | 'pod'

export interface BillQuery {
  readonly fromMs: number
  readonly toMs: number
  readonly by: BillGrouping
}

/** What the rooms behind it give. `bill` and `verify` pass on billing's own JSON. */
export interface AdminReadModel {
  status(signal: AbortSignal): Promise<StatusView>
  bill(query: BillQuery, signal: AbortSignal): Promise<unknown>
  verify(signal: AbortSignal): Promise<unknown>
  metrics(): Promise<string>
}
