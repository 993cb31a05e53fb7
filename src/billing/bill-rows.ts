import { formatNanos, nanoScale, plus, rational, roundRational, zero, type Rational } from '../model/money.ts'
import { addQuantities, noQuantities, type Quantities } from '../model/usage.ts'
import type { BillEntry } from './bill-entries.ts'
import type { BillGrouping } from './bill-query.ts'
import type { UsageTotal } from './usage-totals.ts'

/** By what a row is told from the others: only what the bill is by. */
export interface BillRowKey {
  /** UTC, `2026-11-29`. */
  readonly day?: string
  readonly pool?: string
  readonly namespace?: string
  /** Of the labels that the bill is by; one that a Pod does not have is empty. */
  readonly labels?: Readonly<Record<string, string>>
  /** With `by: workload` and `by: pod`: `Deployment/web`. */
  readonly workload?: string
  /** With `by: pod`. */
  readonly pod?: string
  readonly podUid?: string
  /** Why a correction was made: it has a row of its own. */
  readonly correction?: string
}

export interface BillRow extends BillRowKey {
  readonly pods: number
  /** By workload or Pod: when the first of them began, and the last one ended, absent while one runs. RFC 3339. */
  readonly started?: string
  readonly ended?: string
  /** Some of it still runs: the amount grows. */
  readonly open: boolean
  /** What runs of it costs an hour. */
  readonly perHour?: string
  /** Some of its ends are estimates: the evidence was lost. */
  readonly estimated: boolean
  readonly coreSeconds: string
  readonly gibSeconds: string
  readonly gpuSeconds: string
  readonly amount: string
  readonly currency: string
  /** Resources that ran and have no price in the Pod's book. */
  readonly unpriced: readonly string[]
}

export interface BillTotal {
  readonly currency: string
  readonly amount: string
}

interface Sum {
  readonly key: BillRowKey
  readonly currency: string
  readonly podUids: Set<string>
  /** Others, of which only the number is known. */
  morePods: number
  startMs: number
  endMs: number | undefined
  open: boolean
  estimated: boolean
  perHour: Rational
  quantities: Quantities
  nanos: bigint
  readonly unpriced: Set<string>
}

/** Adds entries up as they come; keeps the sums, and no entry. */
export class BillSums {
  readonly #by: readonly BillGrouping[]
  readonly #sums = new Map<string, Sum>()

  constructor(by: readonly BillGrouping[]) {
    this.#by = by
  }

  add(entry: BillEntry): void {
    this.#sumOf(entry).podUids.add(entry.podUid)
  }

  #sumOf(entry: BillEntry): Sum {
    const { currency } = entry
    const key = keyOf(entry, this.#by)
    const text = JSON.stringify([key, currency])
    const known = this.#sums.get(text)
    const sum = known ?? emptySum(key, entry)
    if (!known) this.#sums.set(text, sum)
    sum.startMs = Math.min(sum.startMs, entry.startMs)
    sum.endMs =
      sum.endMs === undefined || entry.endMs === undefined ? undefined : Math.max(sum.endMs, entry.endMs)
    sum.open ||= entry.open
    sum.estimated ||= entry.estimated
    if (entry.open) sum.perHour = plus(sum.perHour, entry.perHour)
    sum.quantities = addQuantities(sum.quantities, entry.quantities)
    sum.nanos += entry.nanos
    for (const resource of entry.unpriced) sum.unpriced.add(resource)
    return sum
  }

  /** What the ledger has added up: of a bill by nothing but `kept` groupings. */
  addTotal(total: UsageTotal): void {
    const { namespace, pool, dayMs, currency, open, estimated, perHour, quantities, nanos, unpriced } = total
    const day = this.#by.includes('day') ? new Date(dayMs).toISOString().slice(0, 10) : ''
    const unnamed = { workload: '', pod: '', podUid: '', labels: {}, correction: undefined }
    const times = { startMs: 0, endMs: 0 }
    const sums = { open, estimated, perHour, quantities, nanos, currency, unpriced }
    const sum = this.#sumOf({ ...unnamed, ...times, ...sums, namespace, pool, day })
    sum.morePods += total.pods
  }

  /** By day, then by amount, the largest first. */
  rows(): BillRow[] {
    return [...this.#sums.values()]
      .sort(
        (a, b) =>
          compare(a.key.day ?? '', b.key.day ?? '') ||
          compare(b.nanos, a.nanos) ||
          compare(JSON.stringify(a.key), JSON.stringify(b.key)),
      )
      .map(rowOf)
  }

  /** One a currency: amounts in different ones are never added up. */
  totals(): BillTotal[] {
    return totalsOf(this.#sums.values(), ({ nanos }) => nanos)
  }

  /** What all that runs costs an hour. */
  perHour(): BillTotal[] {
    const open = [...this.#sums.values()].filter((sum) => sum.open)
    const exact = Map.groupBy(open, ({ currency }) => currency)
    return [...exact].flatMap(([currency, own]) => {
      const sum = own.map(({ perHour }) => perHour).reduce(plus, zero)
      return currency === '' ? [] : [{ currency, amount: told(sum) }]
    })
  }
}

function keyOf(entry: BillEntry, by: readonly BillGrouping[]): BillRowKey {
  const has = (...any: readonly BillGrouping[]): boolean => any.some((grouping) => by.includes(grouping))
  const labels = by.flatMap((grouping) => (grouping.startsWith('label:') ? [grouping.slice(6)] : []))
  return {
    ...(has('day') && { day: entry.day }),
    ...(has('pool') && { pool: entry.pool }),
    ...(has('namespace', 'workload', 'pod') && { namespace: entry.namespace }),
    ...(labels.length > 0 && { labels: Object.fromEntries(labels.map((key) => [key, labelOf(entry, key)])) }),
    ...(has('workload', 'pod') && { workload: entry.workload }),
    ...(has('pod') && { pod: entry.pod, podUid: entry.podUid }),
    ...(entry.correction !== undefined && { correction: entry.correction }),
  }
}

function labelOf({ labels }: BillEntry, key: string): string {
  return Object.hasOwn(labels, key) ? (labels[key] ?? '') : ''
}

function emptySum(key: BillRowKey, { currency, startMs, endMs }: BillEntry): Sum {
  return {
    key,
    currency,
    podUids: new Set(),
    morePods: 0,
    startMs,
    endMs,
    open: false,
    estimated: false,
    perHour: zero,
    quantities: noQuantities,
    nanos: 0n,
    unpriced: new Set(),
  }
}

function rowOf(sum: Sum): BillRow {
  return {
    ...sum.key,
    pods: sum.podUids.size + sum.morePods,
    ...(sum.key.workload !== undefined && timesOf(sum)),
    open: sum.open,
    ...(sum.open && { perHour: told(sum.perHour) }),
    estimated: sum.estimated,
    ...decimalQuantities(sum.quantities),
    amount: formatNanos(sum.nanos),
    currency: sum.currency,
    unpriced: [...sum.unpriced].sort(),
  }
}

function timesOf({ startMs, endMs }: Sum): Pick<BillRow, 'started' | 'ended'> {
  return {
    started: new Date(startMs).toISOString(),
    ...(endMs !== undefined && { ended: new Date(endMs).toISOString() }),
  }
}

/** Core-seconds to a millionth; GiB-seconds have up to 13 places, of which nine are told. */
function decimalQuantities({
  cpuMilliMs,
  memoryMiBMs,
  gpuMs,
}: Quantities): Pick<BillRow, 'coreSeconds' | 'gibSeconds' | 'gpuSeconds'> {
  const seconds = (amount: bigint, perUnit: bigint): string => told(rational(amount, perUnit * 1000n))
  return {
    coreSeconds: seconds(cpuMilliMs, 1000n),
    gibSeconds: seconds(memoryMiBMs, 1024n),
    gpuSeconds: seconds(gpuMs, 1n),
  }
}

function totalsOf(sums: Iterable<Sum>, nanosOf: (sum: Sum) => bigint): BillTotal[] {
  return [...Map.groupBy(sums, ({ currency }) => currency)]
    .filter(([currency]) => currency !== '')
    .map(([currency, own]) => ({
      currency,
      amount: formatNanos(own.reduce((total, sum) => total + nanosOf(sum), 0n)),
    }))
}

function told(value: Rational): string {
  return formatNanos(roundRational(value, nanoScale, 'half_even'))
}

function compare<T extends bigint | string>(a: T, b: T): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
