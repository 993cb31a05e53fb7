import {
  nanoScale,
  parseDecimal,
  parseRational,
  plus,
  rational,
  roundRational,
  times,
  zero,
} from '../model/money.ts'
import { rateOf, type PriceBook } from '../model/price-book.ts'
import type { UsageEvent } from '../model/usage.ts'
import { podAccounts, unclipped } from './accounts.ts'
import { billedEndMs, chargeLines, hasBegun, hourMs, sliceInterval, type ChargeLine } from './charges.ts'
import { decidingHeartbeats } from './heartbeats.ts'
import type { StoredPod } from './ledger.ts'
import { encodeJson } from './ledger-json.ts'
import { projectPod, type PodHistory, type UsageInterval } from './projection.ts'
import { sealedUntil, type Seal } from './seal.ts'
import type { LedgerClaim, LedgerProblem } from './verify.ts'
import { specProblem } from './verify-spec.ts'

export interface PodFacts {
  readonly stored: StoredPod
  readonly history: PodHistory
  /** As the events have it. */
  readonly accounts: readonly UsageInterval[]
  readonly books: ReadonlyMap<string, PriceBook>
  readonly seals: readonly Seal[]
  readonly nowMs: number
}

export function podFacts(stored: StoredPod, rules: Pick<PodFacts, 'books' | 'seals' | 'nowMs'>): PodFacts {
  const events = stored.events.map(({ event }) => event)
  return {
    ...rules,
    stored,
    history: projectPod(stored.podUid, events),
    accounts: podAccounts(stored.podUid, stored.events, rules.seals),
  }
}

/** Everything that can be checked of one Pod by itself. */
export function checkPod(facts: PodFacts): LedgerProblem[] {
  const { history, books } = facts
  return [
    ...checkOverlaps(history),
    ...history.intervals.flatMap((interval) => checkSlices(interval, facts)),
    ...checkSizes(history, books),
    ...facts.accounts.flatMap((account) => checkLines(account, facts)),
    ...checkReplay(facts),
    ...checkHeartbeats(facts),
    ...checkOrder(facts),
    ...checkCorrections(facts),
  ]
}

function problem(claim: LedgerClaim, message: string): LedgerProblem {
  return { claim, message }
}

function checkOverlaps({ podUid, intervals }: PodHistory): LedgerProblem[] {
  const claim = 'intervals of a Pod never overlap, and end after they start'
  return intervals.flatMap(({ incarnation, startMs, endMs }, index) => {
    const next = intervals[index + 1]
    if (endMs !== undefined && endMs < startMs) {
      return [problem(claim, `Pod ${podUid}, sandbox ${incarnation} ends before it starts`)]
    }
    if (next && (endMs === undefined || endMs > next.startMs)) {
      return [problem(claim, `Pod ${podUid}, sandboxes ${incarnation} and ${next.incarnation} overlap`)]
    }
    return []
  })
}

function checkSlices(interval: UsageInterval, { books, nowMs }: PodFacts): LedgerProblem[] {
  const book = bookIn(books, interval)
  if (!book) return []
  const slices = sliceInterval(interval, book, { nowMs })
  const sumMs = slices.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
  const wholeMs = hasBegun(interval, nowMs) ? billedEndMs(interval, book, nowMs) - interval.startMs : 0
  const meets = slices.every(({ fromMs }, index) => fromMs === (slices[index - 1]?.toMs ?? interval.startMs))
  if (sumMs === wholeMs && meets) return []
  return [
    problem(
      'slices of an interval add up to it',
      `${placeOf(interval)}: slices of ${sumMs} ms, billed ${wholeMs} ms`,
    ),
  ]
}

function checkSizes({ podUid, terms, resizes }: PodHistory, books: PodFacts['books']): LedgerProblem[] {
  const claim = 'a size holds what was asked for, is in its table, and no smaller one would do'
  const all = [...(terms ? [terms] : []), ...resizes.map((resize) => resize.terms)]
  return all.flatMap((own) => {
    const book = books.get(own.priceBook)
    const found = book && specProblem(own, book)
    return found === undefined ? [] : [problem(claim, `Pod ${podUid}: ${found}`)]
  })
}

/** Quantity × price again, by the parts of each line; and that rounding moved the hour by no more than its rule may. */
function checkLines(account: UsageInterval, { books, nowMs }: PodFacts): LedgerProblem[] {
  const claim = 'a line is quantity × price, rounded once'
  const book = bookIn(books, account)
  if (!book) return []
  const hours = Map.groupBy(chargeLines(account, book, { nowMs }), (line) => line.hourMs)
  return [...hours].flatMap(([startMs, lines]) => {
    const off = lines.find((line) => !isProduct(line)) ?? (isRounded(lines, book) ? undefined : lines[0])
    return off
      ? [problem(claim, `${placeOf(account)}, ${off.resource} at ${new Date(startMs).toISOString()}`)]
      : []
  })
}

function isProduct({ parts, quantity, exact, hourMs: startMs }: ChargeLine): boolean {
  let sum = zero
  let amount = 0n
  for (const { fromMs, toMs, size, price } of parts) {
    if (fromMs < startMs || toMs > startMs + hourMs || toMs <= fromMs) return false
    const used = size * BigInt(toMs - fromMs)
    amount += used
    if (price) sum = plus(sum, times(rational(used), rateOf(price)))
  }
  const told = parseRational(exact)
  return amount === quantity && told.num === sum.num && told.den === sum.den
}

function isRounded(lines: readonly ChargeLine[], { lineRounding, hourRounding }: PriceBook): boolean {
  const exact = lines.map((line) => parseRational(line.exact)).reduce(plus, zero)
  const nanos = lines.reduce((sum, line) => sum + line.nanos, 0n)
  const error = plus(times(exact, rational(10n ** BigInt(nanoScale))), rational(-nanos))
  const scale = Math.min(lineRounding.scale, hourRounding?.scale ?? nanoScale)
  const unit = 10n ** BigInt(nanoScale - scale)
  const dropped = parseDecimal(lineRounding.dropBelow ?? '0')
  // Half a unit for each line, or as much as a rule for small sums lets go.
  const limit = plus(
    rational(unit * BigInt(lines.length), 2n),
    times(dropped, rational(BigInt(lines.length) * 10n ** BigInt(nanoScale))),
  )
  const [size, bound] = [error.num < 0n ? -error.num : error.num, limit.num * error.den]
  return size * limit.den <= bound
}

function checkReplay({ stored, accounts }: PodFacts): LedgerProblem[] {
  const claim = 'replaying the log gives the same intervals'
  if (stored.events.length === 0) return [problem(claim, `Pod ${stored.podUid} has no events`)]
  const keyOf = (account: UsageInterval): string => `${placeOf(account)} ${account.billed?.toMs ?? ''}`
  const kept = new Map(stored.accounts.map((account) => [keyOf(account), encodeJson(account)]))
  const differing = accounts.filter((account) => kept.get(keyOf(account)) !== encodeJson(account))
  if (differing.length === 0 && kept.size === accounts.length) return []
  const named = differing[0] ?? stored.accounts[0]
  return [problem(claim, `${named ? placeOf(named) : `Pod ${stored.podUid}`} differs`)]
}

/** What is kept beside the log has no hash: nothing may be billed by it. */
function checkHeartbeats({ stored }: PodFacts): LedgerProblem[] {
  const claim = 'a heartbeat that ends an interval is in the log'
  const missing = decidingHeartbeats(
    stored.events.map(({ event }) => event),
    stored.lastSeen,
  )
  return missing.map(({ podUid, incarnation, atMs }) =>
    problem(
      claim,
      `Pod ${podUid}, sandbox ${incarnation} was seen at ${new Date(atMs).toISOString()}, which the log does not have`,
    ),
  )
}

/** Not every order, but the one that differs most, with each event twice. The tests try random ones. */
function checkOrder({ history, stored }: PodFacts): LedgerProblem[] {
  const events: readonly UsageEvent[] = stored.events.map(({ event }) => event)
  const again = projectPod(history.podUid, [...events.toReversed(), ...events])
  if (encodeJson(again) === encodeJson(history)) return []
  const claim = 'order and repetition of deliveries do not matter'
  return [problem(claim, `Pod ${history.podUid} differs when its events come in another order`)]
}

/** What stands in sealed periods, with the corrections of it, is what would stand there if nothing had been sealed. */
function checkCorrections({ history, accounts, books, seals }: PodFacts): LedgerProblem[] {
  const claim = 'what is sealed and its corrections add up to what ran'
  const toMs = sealedUntil(seals)
  if (toMs <= 0) return []
  const period = { fromMs: 0, toMs }
  const sums = new Map<string, bigint>()
  const add = (currency: string, nanos: bigint): void =>
    void sums.set(currency, (sums.get(currency) ?? 0n) + nanos)
  const addLines = (intervals: readonly UsageInterval[], sign: bigint): void => {
    for (const interval of intervals) {
      const book = bookIn(books, interval)
      if (!book) continue
      for (const { nanos, currency } of chargeLines(interval, book, { nowMs: toMs, period }))
        add(currency, sign * nanos)
    }
  }
  addLines(history.intervals.map(unclipped), 1n)
  addLines(accounts, -1n)
  for (const { corrects, amount, currency } of history.adjustments) {
    if (corrects) add(currency, -roundRational(parseDecimal(amount), nanoScale, 'half_even'))
  }
  return [...sums].flatMap(([currency, nanos]) =>
    nanos === 0n ? [] : [problem(claim, `Pod ${history.podUid}: ${nanos} nano-${currency} are missing`)],
  )
}

function bookIn(books: PodFacts['books'], { segments }: UsageInterval): PriceBook | undefined {
  return books.get(segments[0]?.terms.priceBook ?? '')
}

function placeOf({ podUid, incarnation }: UsageInterval): string {
  return `Pod ${podUid}, sandbox ${incarnation}`
}
