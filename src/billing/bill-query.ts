import { floorHour } from './charges.ts'
import type { UsageInterval } from './projection.ts'

/** What a bill has rows for. `pod` and `workload` name their namespace with them; `day` is a UTC day. */
export type BillGrouping = (typeof plainGroupings)[number] | `label:${string}`

export const plainGroupings = ['namespace', 'workload', 'pod', 'pool', 'day'] as const

export function isGrouping(text: string): text is BillGrouping {
  return plainGroupings.some((plain) => plain === text) || /^label:[^,]+$/.test(text)
}

export interface BillQuery {
  /** Widened to whole UTC hours, since a line is one. The answer says which. */
  readonly fromMs: number
  readonly toMs: number
  /** Of several, one row for each combination. */
  readonly by: BillGrouping | readonly BillGrouping[]
  /** Open intervals are priced up to here. */
  readonly nowMs: number
  readonly filter?: BillFilter
  /** Also each Pod's lines with the sizes, the seconds and the formula. Default false. */
  readonly explain?: boolean
}

/** A query with nothing left to settle: whole hours, and a list of what it is by. */
export interface SettledQuery extends BillQuery {
  readonly by: readonly BillGrouping[]
  /** The bill will never change: all of it is sealed. */
  readonly sealed: boolean
}

/** A sealed period is billed as of its end, whenever it is asked for: that is part of printing the same for ever. */
export function settle(
  query: BillQuery,
  { sealedUntilMs }: { readonly sealedUntilMs: number },
): SettledQuery {
  const { by } = query
  const period = { fromMs: floorHour(query.fromMs), toMs: -floorHour(-query.toMs) }
  const sealed = period.toMs <= sealedUntilMs
  const nowMs = sealed ? period.toMs : Math.max(query.nowMs, sealedUntilMs)
  return { ...query, ...period, by: [by].flat(), nowMs, sealed }
}

/** Left out, or empty: all. Of several namespaces, pools or workloads any; of several labels every one. */
export interface BillFilter {
  readonly namespaces?: readonly string[]
  readonly pools?: readonly string[]
  /** `Job` for all Jobs, `Job/report` for one. */
  readonly workloads?: readonly string[]
  /** `team=shop` for that value, `team` for any. */
  readonly labels?: readonly string[]
  /** `web-1`, `shop/web-1` or a UID. */
  readonly pod?: string
}

/** How bills name who ran: what rows are made by, and filters ask for. */
export interface BilledNames {
  readonly namespace: string
  /** `Deployment/web`. */
  readonly workload: string
  readonly pod: string
  readonly podUid: string
  readonly pool: string
  readonly labels: Readonly<Record<string, string>>
}

export function namesOf({ podUid, pod, unknownPod }: UsageInterval): BilledNames {
  const { namespace, name } = pod ?? unknownPod
  const workload = pod?.workload ?? { kind: 'Pod', name }
  return {
    namespace,
    workload: `${workload.kind}/${workload.name}`,
    pod: name,
    podUid,
    pool: pod?.pool ?? '',
    labels: pod?.labels ?? {},
  }
}

export function matches(names: BilledNames, filter: BillFilter = {}): boolean {
  const { namespaces = [], pools = [], workloads = [], labels = [], pod } = filter
  return (
    isAmong(namespaces, names.namespace) &&
    isAmong(pools, names.pool) &&
    (workloads.length === 0 || workloads.some((wanted) => isWorkload(names.workload, wanted))) &&
    labels.every((wanted) => hasLabel(names.labels, wanted)) &&
    (pod === undefined || [names.pod, `${names.namespace}/${names.pod}`, names.podUid].includes(pod))
  )
}

function isAmong(wanted: readonly string[], found: string): boolean {
  return wanted.length === 0 || wanted.includes(found)
}

function isWorkload(found: string, wanted: string): boolean {
  return wanted.includes('/') ? found === wanted : found.startsWith(`${wanted}/`)
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=')
  if (equals < 0) return Object.hasOwn(labels, wanted)
  const key = wanted.slice(0, equals)
  return Object.hasOwn(labels, key) && labels[key] === wanted.slice(equals + 1)
}
