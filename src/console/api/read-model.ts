import type { Store } from '../../kube/api.ts'
import type { Clock } from '../../model/clock.ts'
import { hasCode } from '../../model/errors.ts'
import type { Node, Pod } from '../../model/kubernetes.ts'
import { version } from '../../model/version.ts'
import { poolLabel } from '../../model/words.ts'
import type {
  AdjustQuestion,
  AdminReadModel,
  BillQuery,
  BudgetsView,
  CheckView,
  ExplainQuery,
  ExplainView,
  FocusQuery,
  LedgerView,
  NodeView,
  PodView,
  SealQuestion,
  SpendView,
  StatusView,
} from './contract.ts'

/** What billing tells; its own JSON is passed on as it is. */
export interface BillingReader {
  running(nowMs: number, signal: AbortSignal): Promise<readonly BilledPodView[]>
  spendPerHour(nowMs: number, signal: AbortSignal): Promise<readonly SpendView[]>
  bill(query: BillQuery, signal: AbortSignal): Promise<unknown>
  focus(query: FocusQuery, signal: AbortSignal): AsyncIterable<string>
  exportLedger(signal: AbortSignal): AsyncIterable<string>
}

/** What people write into the ledger. */
export interface LedgerKeeper {
  seal(question: SealQuestion, signal: AbortSignal): Promise<unknown>
  adjust(question: AdjustQuestion, signal: AbortSignal): Promise<unknown>
}

export interface BilledPodView {
  readonly podUid: string
  readonly spec: string
  readonly perHour: SpendView | undefined
  readonly billedSinceMs: number
}

export interface PoolFacts {
  readonly name: string
  readonly backend: string
  readonly priceBook: string
}

export interface ReadModelOptions {
  readonly clusterName: string
  readonly pools: () => readonly PoolFacts[]
  readonly nodes: Store<Node>
  readonly podsOn: (nodeName: string) => readonly Pod[]
  readonly billing: BillingReader
  readonly keeper: LedgerKeeper
  readonly check: (signal: AbortSignal) => Promise<CheckView>
  readonly explain: (query: ExplainQuery, signal: AbortSignal) => Promise<ExplainView>
  readonly budgets: () => BudgetsView
  readonly reconcile: (signal: AbortSignal) => Promise<unknown>
  readonly metrics: () => Promise<string>
  readonly ledger: () => LedgerView
  readonly verify: (signal: AbortSignal) => Promise<unknown>
  readonly clock: Clock
}

/** Joins what the API server says of nodes and Pods with what the ledger says they cost. */
export function readModel(options: ReadModelOptions): AdminReadModel {
  const { billing, clock, metrics } = options
  return {
    bill: (query, signal) => billing.bill(query, signal),
    focus: (query, signal) => billing.focus(query, signal),
    verify: (signal) => options.verify(signal),
    exportLedger: (signal) => billing.exportLedger(signal),
    seal: (question, signal) => options.keeper.seal(question, signal),
    adjust: (question, signal) => options.keeper.adjust(question, signal),
    explain: (query, signal) => options.explain(query, signal),
    check: (signal) => options.check(signal),
    budgets: () => options.budgets(),
    reconcile: (signal) => options.reconcile(signal),
    metrics,
    status: async (signal) => {
      const atMs = clock.wallMs()
      return statusView(options, { atMs, ...(await billingFacts(billing, atMs, signal)) })
    },
  }
}

interface BillingFacts {
  readonly running: readonly BilledPodView[]
  readonly spendPerHour: readonly SpendView[]
  readonly ledgerTrouble: string
}

/** A ledger that cannot be read must not keep people from seeing their Pods. */
async function billingFacts(
  billing: BillingReader,
  atMs: number,
  signal: AbortSignal,
): Promise<BillingFacts> {
  try {
    const [running, spendPerHour] = await Promise.all([
      billing.running(atMs, signal),
      billing.spendPerHour(atMs, signal),
    ])
    return { running, spendPerHour, ledgerTrouble: '' }
  } catch (error) {
    if (!hasCode(error, 'LedgerUnavailable') && !hasCode(error, 'LedgerCorrupt')) throw error
    return { running: [], spendPerHour: [], ledgerTrouble: error.message }
  }
}

function statusView(
  { clusterName, pools, nodes, podsOn, ledger }: ReadModelOptions,
  facts: BillingFacts & { readonly atMs: number },
): StatusView {
  const known = pools()
  const names = new Set(known.map(({ name }) => name))
  const own = nodes.list().filter(({ metadata }) => names.has(metadata?.labels?.[poolLabel] ?? ''))
  const views = own.map((node) => nodeView(node, podsOn(node.metadata?.name ?? ''))).sort(byName)
  const billed = new Map(facts.running.map((pod) => [pod.podUid, pod]))
  return {
    clusterName,
    version,
    atMs: facts.atMs,
    pools: known.map(({ name, backend, priceBook }) => {
      const members = views.filter((node) => node.pool === name)
      return {
        name,
        backend,
        priceBook,
        nodes: members.length,
        readyNodes: members.filter(({ ready }) => ready).length,
        pods: members.reduce((sum, node) => sum + node.pods, 0),
      }
    }),
    nodes: views,
    pods: own
      .flatMap(({ metadata }) => podsOn(metadata?.name ?? ''))
      .map((pod) => podView(pod, billed.get(pod.metadata?.uid ?? ''))),
    spendPerHour: facts.spendPerHour,
    ledgerTrouble: facts.ledgerTrouble,
    ledger: ledger(),
  }
}

function nodeView({ metadata, spec, status }: Node, pods: readonly Pod[]): NodeView {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const isReady = ready?.status === 'True'
  return {
    name: metadata?.name ?? '',
    pool: metadata?.labels?.[poolLabel] ?? '',
    ready: isReady,
    schedulable: !spec?.unschedulable,
    pods: pods.filter(({ status: podStatus }) => !isTerminal(podStatus?.phase)).length,
    podLimit: Number(status?.allocatable?.['pods'] ?? 0),
    reason: isReady ? '' : (ready?.message ?? 'not registered yet'),
  }
}

function podView({ metadata, spec, status }: Pod, billed: BilledPodView | undefined): PodView {
  const ready = status?.conditions?.some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  )
  return {
    uid: metadata?.uid ?? '',
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    node: spec?.nodeName ?? '',
    phase:
      metadata?.deletionTimestamp && !isTerminal(status?.phase)
        ? 'Terminating'
        : (status?.phase ?? 'Pending'),
    ready: ready ?? false,
    spec: billed?.spec ?? '',
    perHour: billed?.perHour,
    billedSinceMs: billed?.billedSinceMs,
  }
}

function isTerminal(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name.localeCompare(b.name, 'en', { numeric: true })
}
