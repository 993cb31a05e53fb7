import type { StoredEvent } from '../../src/billing/ledger.ts'
import type { Seal } from '../../src/billing/seal.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { Spec } from '../../src/model/spec.ts'
import { confidences, type UsageEvent } from '../../src/model/usage.ts'
import { decimalUnits, exactLines, oneUnit, type HeldLife } from './exact-charges.ts'

export interface SealedLog {
  readonly events: readonly StoredEvent[]
  readonly seals: readonly Seal[]
  readonly books: readonly PriceBook[]
}

export interface SealedAnswer {
  readonly problems: readonly string[]
  /** Nano-units by currency: what was sealed, what is open up to now, and every adjustment. */
  readonly billed: Readonly<Record<string, bigint>>
  /** What all that is known comes to by itself, as if nothing had been sealed, with what people adjusted. */
  readonly ran: Readonly<Record<string, bigint>>
  readonly corrections: number
}

/**
 * What seals and corrections have to be, by a walk over the log in its order: each event is taken up as it came, each seal
 * is held against what is known at that point, each correction against what it has become since. Shares nothing with
 * src/billing, which keeps accounts of sandboxes and compares two of them, and adds up lines by `exactLines`.
 */
export function walkSealedLog({ events, seals, books }: SealedLog, nowMs: number): SealedAnswer {
  const walk = new Walk(new Map(books.map((book) => [book.id, book])))
  for (const seal of seals.filter(({ head }) => head.seq === 0)) walk.seal(seal)
  for (const { seq, event } of events) {
    walk.take(event)
    for (const seal of seals.filter(({ head }) => head.seq === seq)) walk.seal(seal)
  }
  return walk.end(nowMs)
}

interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

interface Sealed extends Stretch {
  readonly number: number
  /** By Pod. */
  readonly was: ReadonlyMap<string, Sum>
}

/** By currency: nano-units, milli-core·ms, MiB·ms, GPU·ms. */
type Sum = ReadonlyMap<string, readonly bigint[]>

class Walk {
  readonly #books: ReadonlyMap<string, PriceBook>
  readonly #pods = new Map<string, PodTab>()
  readonly #sealed: Sealed[] = []
  readonly #adjusted: { id: string; atMs: number; currency: string; nanos: bigint; corrects: boolean }[] = []
  /** By Pod, seal and currency. */
  readonly #corrected = new Map<string, readonly bigint[]>()
  readonly #problems: string[] = []

  constructor(books: ReadonlyMap<string, PriceBook>) {
    this.#books = books
  }

  take(event: UsageEvent): void {
    const { podUid, fact, id, atMs } = event
    const tab = this.#pods.get(podUid) ?? new PodTab()
    this.#pods.set(podUid, tab)
    tab.take(event)
    if (fact.kind !== 'ADJUSTED') return
    const { currency, corrects } = fact
    const nanos = decimalUnits(fact.amount)
    const countsMs = Math.max(atMs, this.#sealed.at(-1)?.toMs ?? 0)
    this.#adjusted.push({ id, atMs: countsMs, currency, nanos, corrects: corrects !== undefined })
    if (!corrects) return
    const seal = this.#sealed.find(({ fromMs, toMs }) => fromMs === corrects.fromMs && toMs === corrects.toMs)
    if (!seal) {
      this.#problems.push(`${id} corrects ${corrects.fromMs} to ${corrects.toMs}, which was not sealed`)
      return
    }
    const { cpuMilliMs, memoryMiBMs, gpuMs } = corrects.quantities
    const key = `${podUid} ${seal.number} ${currency}`
    this.#corrected.set(key, plus(this.#corrected.get(key), [nanos, cpuMilliMs, memoryMiBMs, gpuMs]))
    this.#check(podUid, seal, currency)
  }

  seal({ number, period, lines, adjustments, sums }: Seal): void {
    const stretch = { fromMs: this.#sealed.at(-1)?.toMs ?? 0, toMs: period.toMs }
    const was = new Map<string, Sum>()
    const total = new Map<string, { lines: bigint; adjustments: bigint }>()
    const of = (currency: string) => total.get(currency) ?? { lines: 0n, adjustments: 0n }
    let count = 0
    for (const [podUid, tab] of this.#pods) {
      const own = tab.sum(this.#books, stretch, stretch.toMs)
      was.set(podUid, own.sum)
      count += own.count
      for (const [currency, [nanos = 0n]] of own.sum)
        total.set(currency, { ...of(currency), lines: of(currency).lines + nanos })
    }
    const own = this.#adjusted.filter(({ atMs }) => stretch.fromMs <= atMs && atMs < stretch.toMs)
    for (const { currency, nanos } of own)
      total.set(currency, { ...of(currency), adjustments: of(currency).adjustments + nanos })
    const said = sums.map(
      ({ currency, ...sum }) => `${currency} ${sum.lines} ${sum.adjustments} ${sum.total}`,
    )
    const due = [...total]
      .map(([currency, sum]) => [currency, sum.lines, sum.adjustments, sum.lines + sum.adjustments].join(' '))
      .sort()
    const parts: [string, unknown, unknown][] = [
      ['lines', lines.count, count],
      ['adjustments', adjustments.count, own.length],
      ['sums', said.join(', '), due.join(', ')],
    ]
    for (const [what, found, expected] of parts) {
      if (found !== expected)
        this.#problems.push(`seal ${number} has ${what}: ${String(found)}, and must have ${String(expected)}`)
    }
    this.#sealed.push({ number, ...stretch, was })
  }

  end(nowMs: number): SealedAnswer {
    const untilMs = this.#sealed.at(-1)?.toMs ?? 0
    const [billed, ran] = [new Map<string, bigint>(), new Map<string, bigint>()]
    const add = (sums: Map<string, bigint>, currency: string, nanos: bigint): void =>
      void sums.set(currency, (sums.get(currency) ?? 0n) + nanos)
    for (const [podUid, tab] of this.#pods) {
      const open = tab.sum(this.#books, { fromMs: untilMs, toMs: Infinity }, nowMs).sum
      for (const [currency, [nanos = 0n]] of open) add(billed, currency, nanos)
      const all = tab.sum(this.#books, { fromMs: 0, toMs: Infinity }, Math.max(nowMs, untilMs)).sum
      for (const [currency, [nanos = 0n]] of all) add(ran, currency, nanos)
      for (const seal of this.#sealed) {
        for (const [currency, [nanos = 0n]] of seal.was.get(podUid) ?? []) add(billed, currency, nanos)
        for (const { currency } of this.#books.values()) this.#check(podUid, seal, currency)
      }
    }
    for (const { currency, nanos, corrects } of this.#adjusted) {
      add(billed, currency, nanos)
      if (!corrects) add(ran, currency, nanos)
    }
    return {
      problems: [...new Set(this.#problems)],
      billed: withoutNothing(billed),
      ran: withoutNothing(ran),
      corrections: this.#adjusted.filter(({ corrects }) => corrects).length,
    }
  }

  /** What was sealed and what it was corrected by so far come to what is known now. */
  #check(podUid: string, seal: Sealed, currency: string): void {
    const was = seal.was.get(podUid)?.get(currency)
    const is = this.#pods.get(podUid)?.sum(this.#books, seal, seal.toMs).sum.get(currency)
    const made = plus(was, this.#corrected.get(`${podUid} ${seal.number} ${currency}`))
    if (String(made) === String(plus(is, undefined))) return
    this.#problems.push(
      `seal ${seal.number} of ${podUid}: corrected to ${String(made)} ${currency}, and must be ${String(is)}`,
    )
  }
}

/** What was told of one Pod so far. */
class PodTab {
  #begun: { readonly spec: Spec; readonly book: string } | undefined
  readonly #sandboxes = new Map<number, { startMs?: number; seenMs: number; rank: number; endMs: number }>()
  readonly #asked = new Map<number, { readonly atMs: number; readonly id: string; readonly spec: Spec }>()
  readonly #done = new Map<number, number>()
  readonly #givenUp = new Set<number>()

  take({ id, incarnation, atMs, fact }: UsageEvent): void {
    const sandbox = this.#sandboxes.get(incarnation) ?? { seenMs: -Infinity, rank: -1, endMs: 0 }
    this.#sandboxes.set(incarnation, sandbox)
    switch (fact.kind) {
      case 'INTENT':
        this.#begun = { spec: fact.terms.spec, book: fact.terms.priceBook }
        return
      case 'OPENED':
        sandbox.startMs = atMs
        return
      case 'OBSERVED':
        sandbox.seenMs = Math.max(sandbox.seenMs, atMs)
        return
      case 'CLOSED': {
        const rank = confidences.indexOf(fact.confidence)
        if (rank > sandbox.rank) Object.assign(sandbox, { rank, endMs: atMs })
        return
      }
      case 'RESIZING': {
        const known = this.#asked.get(fact.generation)
        const isFirst = !known || atMs < known.atMs || (atMs === known.atMs && id < known.id)
        if (isFirst) this.#asked.set(fact.generation, { atMs, id, spec: fact.terms.spec })
        return
      }
      case 'RESIZED':
        this.#done.set(fact.generation, Math.min(atMs, this.#done.get(fact.generation) ?? Infinity))
        return
      case 'VOIDED':
        if (fact.generation !== undefined) this.#givenUp.add(fact.generation)
        return
      case 'STOPPING':
      case 'ADJUSTED':
    }
  }

  /** What lies within the stretch, and of how many lines; what is open is priced up to now. */
  sum(
    books: ReadonlyMap<string, PriceBook>,
    { fromMs, toMs }: Stretch,
    nowMs: number,
  ): { readonly sum: Sum; readonly count: number } {
    const book = books.get(this.#begun?.book ?? '')
    if (!book) return { sum: new Map(), count: 0 }
    let [count, sum]: [number, readonly bigint[]] = [0, [0n, 0n, 0n, 0n]]
    for (const life of this.#lives(nowMs)) {
      for (const { hourMs, amount, resource, quantity } of exactLines(life, book)) {
        if (hourMs < fromMs || hourMs >= toMs) continue
        count += 1
        const own = ['cpu', 'memory', 'gpu'].map((name) => (name === resource ? quantity : 0n))
        sum = plus(sum, [nanosOf(amount, book), ...own])
      }
    }
    return { sum: count > 0 ? new Map([[book.currency, sum]]) : new Map(), count }
  }

  #lives(nowMs: number): HeldLife[] {
    const opened = [...this.#sandboxes].sort(([a], [b]) => a - b).map(([, sandbox]) => sandbox)
    const known = opened.flatMap(({ startMs, ...sandbox }) =>
      startMs === undefined ? [] : { startMs, ...sandbox },
    )
    const sizes = this.#sizes()
    return known.flatMap(({ startMs, seenMs, rank, endMs }, index) => {
      const nextMs = known[index + 1]?.startMs
      const isOver = rank >= 0 || nextMs !== undefined
      if (!isOver) return startMs > nowMs ? [] : { startMs, endMs: nowMs, sizes }
      const saidMs = rank >= 0 ? endMs : seenMs
      const latestMs = Math.max(startMs, nextMs ?? Infinity)
      return { startMs, endMs: Math.min(Math.max(saidMs, startMs), latestMs), sizes }
    })
  }

  #sizes(): HeldLife['sizes'] {
    const sizes = this.#begun ? [{ fromMs: -Infinity, spec: this.#begun.spec }] : []
    for (const [generation, { atMs, spec }] of [...this.#asked].sort(([a], [b]) => a - b)) {
      const doneMs = this.#done.get(generation)
      const before = sizes.at(-1)
      if (doneMs === undefined || !before) continue
      const isLess = (['cpuMillis', 'memoryMiB', 'gpus'] as const).some(
        (name) => spec[name] < before.spec[name],
      )
      const fromMs = isLess || this.#givenUp.has(generation) ? doneMs : Math.min(atMs, doneMs)
      sizes.push({ fromMs: Math.max(fromMs, before.fromMs), spec })
    }
    return sizes
  }
}

/** Of whole units of 1 / `oneUnit`, by the book's rule for lines. */
export function nanosOf(amount: bigint, { lineRounding }: PriceBook): bigint {
  const { scale, mode, dropBelow = '0' } = lineRounding
  if (amount * 1_000_000_000n < decimalUnits(dropBelow) * oneUnit) return 0n
  const unit = oneUnit / 10n ** BigInt(scale)
  const [whole, rest] = [amount / unit, (amount % unit) * 2n]
  const isUp = rest > unit || (rest === unit && (mode === 'half_up' || whole % 2n === 1n))
  return (isUp ? whole + 1n : whole) * 10n ** BigInt(9 - scale)
}

function plus(a: readonly bigint[] = [], b: readonly bigint[] = []): readonly bigint[] {
  return [0, 1, 2, 3].map((index) => (a[index] ?? 0n) + (b[index] ?? 0n))
}

function withoutNothing(sums: ReadonlyMap<string, bigint>): Record<string, bigint> {
  return Object.fromEntries([...sums].filter(([, nanos]) => nanos !== 0n))
}
