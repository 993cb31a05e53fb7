import { plus, zero, type Rational } from '../model/money.ts'
import type { BilledResource, PriceBook } from '../model/price-book.ts'
import { addQuantities, noQuantities, type Quantities } from '../model/usage.ts'
import { isSettled } from './accounts.ts'
import { billedEndMs, hasBegun, type Period } from './charges.ts'
import { dayCharges, floorDay } from './day-charges.ts'
import type { UsageInterval } from './projection.ts'
import { bookOf, hourlyPrice } from './spending.ts'

export const totalDimensions = ['namespace', 'pool', 'day'] as const
export type TotalDimension = (typeof totalDimensions)[number]

export interface TotalsQuery {
  /** Whole UTC hours. */
  readonly period: Period
  /** One total for each that there is; and always one for each currency. */
  readonly by: readonly TotalDimension[]
  /** Open intervals are priced up to here. */
  readonly nowMs: number
  /** Left out, or empty: all. */
  readonly namespaces?: readonly string[]
  readonly pools?: readonly string[]
}

/** What the rounded lines of many Pods come to. Fields that were not asked for are empty, and 0. */
export interface UsageTotal {
  readonly namespace: string
  readonly pool: string
  /** Start of the UTC day. */
  readonly dayMs: number
  /** Empty: of Pods whose size is not known. */
  readonly currency: string
  /** Different ones. */
  readonly pods: number
  /** Some of it runs on. */
  readonly open: boolean
  /** What runs on costs an hour, exactly. */
  readonly perHour: Rational
  /** Some of its ends are estimates, and lie in the period. */
  readonly estimated: boolean
  readonly quantities: Quantities
  readonly nanos: bigint
  readonly unpriced: readonly BilledResource[]
}

/** One day's part of the sums that the store keeps, and what one Pod adds to it. */
export interface DayTotal {
  readonly dayMs: number
  /**
   * The day on which these Pods were billed before, or -1. Pods are counted by it: different ones in a period are those
   * whose day before lies outside, so that a Pod of a month is one Pod and not thirty.
   */
  readonly sinceDayMs: number
  readonly namespace: string
  readonly pool: string
  readonly currency: string
  readonly pods: number
  readonly estimated: number
  readonly unpriced: Readonly<Record<BilledResource, number>>
  readonly quantities: Quantities
  readonly nanos: bigint
}

export const noDayBefore = -1

/** What the settled accounts of one Pod add to the sums. */
export function dayTotals(
  accounts: readonly UsageInterval[],
  books: ReadonlyMap<string, PriceBook>,
): DayTotal[] {
  const totals = new Map<string, DayTotal>()
  for (const account of accounts) {
    // A settled account has its end, or that of its period: no clock has a part in it.
    for (const total of accountTotals(account, books, { nowMs: -Infinity })) {
      const key = `${total.dayMs} ${placeOf(total)}`
      const known = totals.get(key)
      totals.set(key, known ? { ...added(known, total), pods: 1 } : total)
    }
  }
  return [...Map.groupBy(totals.values(), placeOf).values()].flatMap((own) =>
    own
      .sort((a, b) => a.dayMs - b.dayMs)
      .map((total, index) => ({ ...total, sinceDayMs: own[index - 1]?.dayMs ?? noDayBefore })),
  )
}

/** Whether the store keeps its sums. One without a size has none. */
export function isCounted(account: UsageInterval, books: ReadonlyMap<string, PriceBook>): boolean {
  return isSettled(account) && books.has(account.segments[0]?.terms.priceBook ?? '')
}

/** Day by day, as of a Pod that was billed on none before. */
export function accountTotals(
  account: UsageInterval,
  books: ReadonlyMap<string, PriceBook>,
  options: { readonly nowMs: number; readonly period?: Period },
): DayTotal[] {
  const book = bookOf(account, books)
  if (!book) return []
  const lastDayMs = floorDay(billedEndMs(account, book, options.nowMs) - 1)
  return dayCharges(account, book, options).map(({ dayMs, nanos, quantities, unpriced }) => ({
    dayMs,
    sinceDayMs: noDayBefore,
    namespace: (account.pod ?? account.unknownPod).namespace,
    pool: account.pod?.pool ?? '',
    currency: book.currency,
    pods: 1,
    estimated: account.confidence === 'estimated' && dayMs === lastDayMs ? 1 : 0,
    unpriced: {
      cpu: Number(unpriced.includes('cpu')),
      memory: Number(unpriced.includes('memory')),
      gpu: Number(unpriced.includes('gpu')),
    },
    quantities,
    nanos,
  }))
}

export function placeOf({ namespace, pool, currency }: DayTotal): string {
  return JSON.stringify([namespace, pool, currency])
}

/** What two parts of one kept sum have in common. */
export function dayTotalKey(total: DayTotal): string {
  return `${total.dayMs} ${total.sinceDayMs} ${placeOf(total)}`
}

export function added(a: DayTotal, b: DayTotal): DayTotal {
  return {
    ...a,
    pods: a.pods + b.pods,
    estimated: a.estimated + b.estimated,
    unpriced: {
      cpu: a.unpriced.cpu + b.unpriced.cpu,
      memory: a.unpriced.memory + b.unpriced.memory,
      gpu: a.unpriced.gpu + b.unpriced.gpu,
    },
    quantities: addQuantities(a.quantities, b.quantities),
    nanos: a.nanos + b.nanos,
  }
}

export function negated(total: DayTotal): DayTotal {
  const { cpu, memory, gpu } = total.unpriced
  const { cpuMilliMs, memoryMiBMs, gpuMs } = total.quantities
  return {
    ...total,
    pods: -total.pods,
    estimated: -total.estimated,
    unpriced: { cpu: -cpu, memory: -memory, gpu: -gpu },
    quantities: { cpuMilliMs: -cpuMilliMs, memoryMiBMs: -memoryMiBMs, gpuMs: -gpuMs },
    nanos: -total.nanos,
  }
}

/** The days that lie in the period as a whole; none when it ends before it begins. */
export function wholeDays({ fromMs, toMs }: Period): Period {
  return { fromMs: -floorDay(-fromMs), toMs: floorDay(toMs) }
}

/** What is left of the period beside its whole days. */
export function edgesOf(period: Period): Period[] {
  const whole = wholeDays(period)
  if (whole.toMs <= whole.fromMs) return period.toMs > period.fromMs ? [period] : []
  const edges = [
    { fromMs: period.fromMs, toMs: whole.fromMs },
    { fromMs: whole.toMs, toMs: period.toMs },
  ]
  return edges.filter(({ fromMs, toMs }) => fromMs < toMs)
}

/** Adds up kept sums and single Pods to what was asked for. */
export class TotalsSum {
  readonly #query: TotalsQuery
  readonly #whole: Period
  readonly #edges: readonly Period[]
  readonly #totals = new Map<string, { -readonly [F in keyof UsageTotal]: UsageTotal[F] }>()

  constructor(query: TotalsQuery) {
    this.#query = query
    this.#whole = wholeDays(query.period)
    this.#edges = edgesOf(query.period)
  }

  /** Of a whole day in the period. */
  addKept(kept: DayTotal): void {
    const isNew = this.#query.by.includes('day') || kept.sinceDayMs < this.#whole.fromMs
    this.#add(kept, { pods: isNew ? kept.pods : 0, open: false, perHour: zero })
  }

  /**
   * One Pod that has an account which is not kept in the sums, or that ran in a part of a day: with all its accounts, of
   * which the kept ones have been added for whole days.
   */
  addPod(
    accounts: readonly { readonly account: UsageInterval; readonly kept: boolean }[],
    books: ReadonlyMap<string, PriceBook>,
  ): void {
    const counted = new Set<string>()
    const cellOf = (total: DayTotal): string =>
      this.#query.by.includes('day') ? `${total.dayMs} ${placeOf(total)}` : placeOf(total)
    const options = (period: Period) => ({ nowMs: this.#query.nowMs, period })
    for (const { account, kept } of accounts) {
      if (!kept) continue
      for (const total of accountTotals(account, books, options(this.#whole))) counted.add(cellOf(total))
    }
    for (const { account, kept } of accounts) {
      if (!hasBegun(account, this.#query.nowMs)) continue
      for (const [total, grows] of this.#partsOf(account, kept, books)) {
        const cell = cellOf(total)
        const book = grows ? bookOf(account, books) : undefined
        const spec = account.segments.at(-1)?.terms.spec
        this.#add(total, {
          pods: counted.has(cell) ? 0 : 1,
          open: grows,
          perHour: book && spec ? hourlyPrice(spec, book, this.#query.nowMs) : zero,
        })
        counted.add(cell)
      }
    }
  }

  /** In order of the names. */
  totals(): UsageTotal[] {
    return [...this.#totals].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, total]) => total)
  }

  /** Each with whether it grows: what runs on does so on its last day only. */
  #partsOf(
    account: UsageInterval,
    kept: boolean,
    books: ReadonlyMap<string, PriceBook>,
  ): readonly (readonly [DayTotal, boolean])[] {
    const { nowMs, period } = this.#query
    const open = !isSettled(account) && nowMs <= period.toMs
    if (account.segments.length === 0) return this.#unknown(account).map((total) => [total, open] as const)
    const parts = (kept ? this.#edges : [period]).flatMap((part) =>
      accountTotals(account, books, { nowMs, period: part }),
    )
    return parts.map((total, index) => [total, open && index === parts.length - 1] as const)
  }

  /** Nothing can be priced while the size is not known; that it ran is told. */
  #unknown(account: UsageInterval): DayTotal[] {
    const { period, nowMs } = this.#query
    const fromMs = Math.max(account.startMs, account.billed?.fromMs ?? 0)
    const untilMs = Math.min(account.endMs ?? nowMs, account.billed?.toMs ?? Infinity)
    if (fromMs >= period.toMs || untilMs < period.fromMs || untilMs < fromMs) return []
    return [
      {
        dayMs: floorDay(account.startMs),
        sinceDayMs: noDayBefore,
        namespace: account.unknownPod.namespace,
        pool: '',
        currency: '',
        pods: 1,
        estimated: account.confidence === 'estimated' ? 1 : 0,
        unpriced: { cpu: 1, memory: 1, gpu: 0 },
        quantities: noQuantities,
        nanos: 0n,
      },
    ]
  }

  #add(part: DayTotal, { pods, open, perHour }: Pick<UsageTotal, 'pods' | 'open' | 'perHour'>): void {
    const { by, namespaces = [], pools = [] } = this.#query
    if (namespaces.length > 0 && !namespaces.includes(part.namespace)) return
    if (pools.length > 0 && !pools.includes(part.pool)) return
    const name = {
      namespace: by.includes('namespace') ? part.namespace : '',
      pool: by.includes('pool') ? part.pool : '',
      dayMs: by.includes('day') ? part.dayMs : 0,
      currency: part.currency,
    }
    const key = JSON.stringify([name.dayMs, name.namespace, name.pool, name.currency])
    const total = this.#totals.get(key) ?? { ...name, ...emptySums() }
    this.#totals.set(key, total)
    total.pods += pods
    total.open ||= open
    if (open) total.perHour = plus(total.perHour, perHour)
    total.estimated ||= part.estimated > 0
    total.quantities = addQuantities(total.quantities, part.quantities)
    total.nanos += part.nanos
    const unpriced = (['cpu', 'gpu', 'memory'] as const).filter((resource) => part.unpriced[resource] > 0)
    if (unpriced.some((resource) => !total.unpriced.includes(resource))) {
      total.unpriced = [...new Set([...total.unpriced, ...unpriced])].sort()
    }
  }
}

type Sums = Omit<UsageTotal, 'namespace' | 'pool' | 'dayMs' | 'currency'>

function emptySums(): Sums {
  const none = { pods: 0, open: false, estimated: false, unpriced: [] }
  return { ...none, perHour: zero, quantities: noQuantities, nanos: 0n }
}
