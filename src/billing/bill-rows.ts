import { formatNanos, nanoScale, rational, roundRational } from '../model/money.ts'
import { addQuantities, noQuantities, type Quantities } from '../model/usage.ts'

export const billViews = ['namespace', 'workload', 'pod'] as const
export type BillView = (typeof billViews)[number]

export interface BillRow {
  readonly namespace: string
  /** With `by: workload` and `by: pod`: `Deployment/web`. */
  readonly workload?: string
  /** With `by: pod`. */
  readonly pod?: string
  readonly podUid?: string
  readonly pods: number
  /** Some of it still runs: the amount grows. */
  readonly open: boolean
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

/** What one row is made of. */
export interface BillEntry {
  readonly namespace: string
  readonly workload: string
  readonly pod: string
  readonly podUid: string
  readonly open: boolean
  readonly estimated: boolean
  readonly quantities: Quantities
  readonly nanos: bigint
  readonly currency: string
  readonly unpriced: readonly string[]
}

/** Entries of one name and currency. */
export interface BillGroup {
  readonly key: Pick<BillRow, 'namespace' | 'workload' | 'pod' | 'podUid'>
  readonly currency: string
  readonly entries: readonly BillEntry[]
  readonly nanos: bigint
}

export function collectRows(entries: readonly BillEntry[], by: BillView): BillGroup[] {
  const groups = Map.groupBy(entries, (entry) => JSON.stringify([rowKey(entry, by), entry.currency]))
  return [...groups.values()]
    .flatMap((own) => {
      const [first] = own
      if (!first) return []
      const nanos = own.reduce((sum, entry) => sum + entry.nanos, 0n)
      return [{ key: rowKey(first, by), currency: first.currency, entries: own, nanos }]
    })
    .sort(
      (a, b) => compareBigint(b.nanos, a.nanos) || compareText(JSON.stringify(a.key), JSON.stringify(b.key)),
    )
}

function rowKey({ namespace, workload, pod, podUid }: BillEntry, by: BillView): BillGroup['key'] {
  if (by === 'namespace') return { namespace }
  return by === 'workload' ? { namespace, workload } : { namespace, workload, pod, podUid }
}

export function billRow({ key, currency, entries, nanos }: BillGroup): BillRow {
  const used = entries.map((entry) => entry.quantities).reduce(addQuantities, noQuantities)
  return {
    ...key,
    pods: new Set(entries.map(({ podUid }) => podUid)).size,
    open: entries.some(({ open }) => open),
    estimated: entries.some(({ estimated }) => estimated),
    ...decimalQuantities(used),
    amount: formatNanos(nanos),
    currency,
    unpriced: [...new Set(entries.flatMap(({ unpriced }) => unpriced))].sort(),
  }
}

/** Core-seconds to a millionth; GiB-seconds have up to 13 places, of which nine are told. */
function decimalQuantities({
  cpuMilliMs,
  memoryMiBMs,
  gpuMs,
}: Quantities): Pick<BillRow, 'coreSeconds' | 'gibSeconds' | 'gpuSeconds'> {
  const told = (amount: bigint, perUnit: bigint): string =>
    formatNanos(roundRational(rational(amount, perUnit * 1000n), nanoScale, 'half_even'))
  return {
    coreSeconds: told(cpuMilliMs, 1000n),
    gibSeconds: told(memoryMiBMs, 1024n),
    gpuSeconds: told(gpuMs, 1n),
  }
}

export function totalsOf(rows: readonly BillGroup[]): BillTotal[] {
  return [...Map.groupBy(rows, ({ currency }) => currency)]
    .filter(([currency]) => currency !== '')
    .map(([currency, own]) => ({
      currency,
      amount: formatNanos(own.reduce((sum, { nanos }) => sum + nanos, 0n)),
    }))
}

function compareBigint(a: bigint, b: bigint): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
