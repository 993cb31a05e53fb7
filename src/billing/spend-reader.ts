import { nanoScale, parseDecimal, roundRational } from '../model/money.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { Clock } from '../model/clock.ts'
import { poolOfNodeName } from '../model/virtual-node-name.ts'
import { floorHour, hourMs, type Period } from './charges.ts'
import { chargeIntervals } from './bill-entries.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageInterval } from './projection.ts'
import { rateOfSpec, type Rate } from './rate.ts'
import { bookOf } from './spending.ts'

/** What Pods of one namespace, one pool and the same labels have cost, or one Pod that is billed now. Nano-units. */
export interface Spend {
  readonly namespace: string
  /** As they were when the Pod was let in. */
  readonly labels: Readonly<Record<string, string>>
  readonly pool: string
  readonly currency: string
  /** Since the UTC hour, day and month began. */
  readonly spent: { readonly hour: bigint; readonly day: bigint; readonly month: bigint }
  readonly open?: { readonly uid: string; readonly rate: Rate }
}

export interface SpendAt {
  readonly atMs: number
  readonly records: readonly Spend[]
}

/** Past hours are read again after that time: ends that became known late, and corrections. */
const pastAgeMs = 300_000

/**
 * What was spent in the hour, the day and the month that it is now, by the ledger: as bills have it, the sum of rounded
 * lines, with corrections. Hours that are over are read seldom, the one that it is now each time.
 */
export class SpendReader {
  readonly #ledger: LedgerStore
  readonly #clock: Clock
  #past: { readonly hour: number; readonly readAtMs: number; readonly spends: readonly Spend[] } | undefined

  constructor(ledger: LedgerStore, clock: Clock) {
    this.#ledger = ledger
    this.#clock = clock
  }

  async read(signal: AbortSignal): Promise<SpendAt> {
    const nowMs = this.#clock.wallMs()
    const hour = floorHour(nowMs)
    const books = await this.#ledger.priceBooks(signal)
    const now = await this.#spends({ fromMs: hour, toMs: hour + hourMs }, { books, nowMs }, signal)
    const past = await this.#pastSpends(hour, { books, nowMs }, signal)
    return { atMs: nowMs, records: [...past, ...now] }
  }

  async #pastSpends(hour: number, moment: Moment, signal: AbortSignal): Promise<readonly Spend[]> {
    const ageMs = this.#clock.monotonicMs() - (this.#past?.readAtMs ?? Number.NEGATIVE_INFINITY)
    if (this.#past?.hour === hour && ageMs < pastAgeMs) return this.#past.spends
    const readAtMs = this.#clock.monotonicMs()
    const month = monthOf(moment.nowMs)
    const spends =
      month < hour ? gathered(await this.#spends({ fromMs: month, toMs: hour }, moment, signal)) : []
    this.#past = { hour, readAtMs, spends }
    return spends
  }

  async #spends(period: Period, { books, nowMs }: Moment, signal: AbortSignal): Promise<readonly Spend[]> {
    const [intervals, adjustments] = await Promise.all([
      this.#ledger.intervals(period, signal),
      this.#ledger.adjustments(period, signal),
    ])
    const byId = new Map(books.map((book) => [book.id, book]))
    const isNow = period.toMs > nowMs
    const spends: Spend[] = []
    for (const { interval, book, lines } of chargeIntervals(intervals, books, { nowMs, period })) {
      if (!book) continue
      const since = (fromMs: number): bigint =>
        lines.reduce((sum, line) => (line.hourMs >= fromMs ? sum + line.nanos : sum), 0n)
      const spent = spentSince(since, nowMs)
      spends.push({ ...namesOf(interval), currency: book.currency, spent })
    }
    if (isNow) spends.push(...openRates(intervals, byId, nowMs))
    const known = new Map(intervals.map((interval) => [interval.podUid, interval]))
    for (const { podUid, atMs, amount, currency } of adjustments) {
      const interval = known.get(podUid) ?? (await this.#ledger.history(podUid, signal)).intervals[0]
      if (!interval) continue
      const nanos = roundRational(parseDecimal(amount), nanoScale, 'half_even')
      const spent = spentSince((fromMs) => (atMs >= fromMs ? nanos : 0n), nowMs)
      spends.push({ ...namesOf(interval), currency, spent })
    }
    return spends
  }
}

interface Moment {
  readonly books: readonly PriceBook[]
  readonly nowMs: number
}

/** Of what runs on, beside what it has cost. */
function openRates(
  intervals: readonly UsageInterval[],
  books: ReadonlyMap<string, PriceBook>,
  nowMs: number,
): readonly Spend[] {
  return intervals.flatMap((interval) => {
    const spec = interval.segments.at(-1)?.terms.spec
    const book = bookOf(interval, books)
    if (interval.endMs !== undefined || !spec || !book) return []
    const rate = rateOfSpec(spec, book, nowMs)
    const open = { uid: interval.podUid, rate }
    return [{ ...namesOf(interval), currency: book.currency, spent: { hour: 0n, day: 0n, month: 0n }, open }]
  })
}

function spentSince(since: (fromMs: number) => bigint, nowMs: number): Spend['spent'] {
  return { hour: since(floorHour(nowMs)), day: since(dayOf(nowMs)), month: since(monthOf(nowMs)) }
}

function namesOf({ pod, unknownPod }: UsageInterval): Pick<Spend, 'namespace' | 'labels' | 'pool'> {
  const { namespace, node } = pod ?? unknownPod
  return { namespace, labels: pod?.labels ?? {}, pool: pod?.pool ?? poolOfNodeName(node) }
}

/** One for all of the same namespace, pool, labels and currency: a month has many Pods, and few workloads. */
function gathered(spends: readonly Spend[]): readonly Spend[] {
  const sums = new Map<string, Spend>()
  for (const spend of spends) {
    const labels = Object.entries(spend.labels).sort(([a], [b]) => (a < b ? -1 : 1))
    const key = JSON.stringify([spend.namespace, spend.pool, spend.currency, labels])
    const sum = sums.get(key)
    sums.set(key, sum ? { ...sum, spent: added(sum.spent, spend.spent) } : spend)
  }
  return [...sums.values()]
}

function added(a: Spend['spent'], b: Spend['spent']): Spend['spent'] {
  return { hour: a.hour + b.hour, day: a.day + b.day, month: a.month + b.month }
}

function dayOf(ms: number): number {
  const at = new Date(ms)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate())
}

function monthOf(ms: number): number {
  const at = new Date(ms)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth())
}
