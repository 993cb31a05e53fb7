import { createHash } from 'node:crypto'
import { hasCode, SpillwayError } from '../model/errors.ts'
import { nanoScale, parseDecimal, roundRational } from '../model/money.ts'
import type { PodUid } from '../model/pod-key.ts'
import type { PriceBook } from '../model/price-book.ts'
import { billedEndMs, chargeLines, floorHour, type ChargeLine, type Period } from './charges.ts'
import { asLastSeen } from './heartbeats.ts'
import type { LedgerStore } from './ledger.ts'
import type { Adjustment, UsageInterval } from './projection.ts'
import { sealedPeriods, sealedUntil, type Seal, type SealDraft, type SealedSum } from './seal.ts'
import { bookOf } from './spending.ts'

export interface SealRequest {
  /** Whole UTC hours, half-open. Left out: from the last seal on, or from the month of the first of all. */
  readonly fromMs?: number
  readonly toMs: number
  readonly nowMs: number
  /** Seal although not all of it is certain; what becomes known later is corrected. Default false. */
  readonly acceptUncertain?: boolean
}

const podsPerPage = 200
const mostTold = 5
const mostTries = 5

/**
 * Seals a period: its lines, sums and the log's head, for ever. Rejects with Rejected, and the reason, unless the period
 * is over, what lies before it is sealed or empty, and nothing in it is uncertain.
 */
export async function sealPeriod(
  ledger: LedgerStore,
  request: SealRequest,
  signal: AbortSignal,
): Promise<Seal> {
  for (let tries = 1; ; tries += 1) {
    const draft = await draftSeal(ledger, request, signal)
    try {
      return await ledger.seal(draft, signal)
    } catch (error) {
      // Something was told of the period while its lines were read: once more, with it.
      if (!hasCode(error, 'Busy') || tries === mostTries) throw error
    }
  }
}

async function draftSeal(ledger: LedgerStore, request: SealRequest, signal: AbortSignal): Promise<SealDraft> {
  const { seq: readUpToSeq } = await ledger.head(signal)
  const seals = await ledger.seals(signal)
  const period = await periodOf(ledger, { request, seals }, signal)
  const from = sealedPeriods([...seals, { period }]).at(-1) ?? period
  const books = new Map((await ledger.priceBooks(signal)).map((book) => [book.id, book]))
  const invoice = await readInvoice(ledger, { period: from, books }, signal)
  const uncertain = [...invoice.uncertain, ...(await unanswered(ledger, from, signal))]
  if (uncertain.length > 0 && !request.acceptUncertain) throw refusal(uncertain)
  return {
    period,
    sealedAtMs: request.nowMs,
    readUpToSeq,
    lines: { count: invoice.lines, hash: invoice.linesHash },
    adjustments: { count: invoice.adjustments, hash: invoice.adjustmentsHash },
    sums: invoice.sums,
    accepted: uncertain.map(({ podUid, why }) => `Pod ${podUid}: ${why}`).slice(0, 100),
  }
}

async function periodOf(
  ledger: LedgerStore,
  { request, seals }: { readonly request: SealRequest; readonly seals: readonly Seal[] },
  signal: AbortSignal,
): Promise<Period> {
  const { toMs, nowMs } = request
  const untilMs = Math.max(0, sealedUntil(seals))
  if (floorHour(toMs) !== toMs) throw refused(`${isoOf(toMs)} is not the end of a UTC hour`)
  if (toMs > nowMs) throw refused(`the period ends at ${isoOf(toMs)}, which is not over yet`)
  if (toMs <= untilMs) throw refused(`everything before ${isoOf(untilMs)} is sealed already`)
  const fromMs = request.fromMs ?? (seals.length > 0 ? untilMs : await firstMonth(ledger, toMs, signal))
  if (fromMs < untilMs) throw refused(`everything before ${isoOf(untilMs)} is sealed already`)
  if (fromMs >= toMs) throw refused('there is nothing to seal before that time')
  if (fromMs > untilMs) await refuseUnsealed(ledger, { fromMs: untilMs, toMs: fromMs }, signal)
  return { fromMs, toMs }
}

async function refuseUnsealed(ledger: LedgerStore, before: Period, signal: AbortSignal): Promise<void> {
  const [totals, adjustments] = await Promise.all([
    ledger.totals({ period: before, by: [], nowMs: before.toMs }, signal),
    ledger.adjustments(before, signal),
  ])
  if (totals.length > 0 || adjustments.length > 0) {
    throw refused(`what was billed before ${isoOf(before.toMs)} is not sealed: that period comes first`)
  }
}

async function firstMonth(ledger: LedgerStore, toMs: number, signal: AbortSignal): Promise<number> {
  const days = await ledger.totals({ period: { fromMs: 0, toMs }, by: ['day'], nowMs: toMs }, signal)
  const adjustments = await ledger.adjustments({ fromMs: 0, toMs }, signal)
  const instants = [...days.map(({ dayMs }) => dayMs), ...adjustments.map(({ atMs }) => atMs)]
  const first = new Date(instants.reduce((least, ms) => Math.min(least, ms), toMs - 1))
  return Date.UTC(first.getUTCFullYear(), first.getUTCMonth())
}

/** Something that may still turn out otherwise. */
interface Doubt {
  readonly podUid: PodUid
  readonly why: string
}

export interface PeriodInvoice {
  readonly lines: number
  readonly linesHash: string
  readonly adjustments: number
  readonly adjustmentsHash: string
  readonly sums: readonly SealedSum[]
  readonly uncertain: readonly Doubt[]
}

/** Every line and adjustment of a period that is over, Pod by Pod. */
export async function readInvoice(
  ledger: LedgerStore,
  { period, books }: { readonly period: Period; readonly books: ReadonlyMap<string, PriceBook> },
  signal: AbortSignal,
): Promise<PeriodInvoice> {
  const hash = createHash('sha256')
  const sums = new InvoiceSums()
  const uncertain: Doubt[] = []
  let lines = 0
  for await (const accounts of podsOf(ledger, signal)) {
    for (const account of accounts) {
      uncertain.push(...doubtsOf(account, { period, books }))
      const book = bookOf(account, books)
      if (!book) continue
      for (const line of chargeLines(account, book, { nowMs: period.toMs, period })) {
        hash.update(lineText(line))
        sums.addLine(line)
        lines += 1
      }
    }
  }
  const adjustments = [...(await ledger.adjustments(period, signal))].sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const adjustment of adjustments) sums.addAdjustment(adjustment)
  return {
    lines,
    linesHash: hash.digest('hex'),
    adjustments: adjustments.length,
    adjustmentsHash: adjustmentsHash(adjustments),
    sums: sums.sums(),
    uncertain,
  }
}

async function* podsOf(ledger: LedgerStore, signal: AbortSignal): AsyncGenerator<readonly UsageInterval[]> {
  let afterPodUid = ''
  for (;;) {
    const page = await ledger.pods({ afterPodUid, limit: podsPerPage }, signal)
    for (const { accounts, lastSeen } of page) {
      yield accounts.map((account) => asLastSeen(account, lastSeen))
    }
    if (page.length < podsPerPage) return
    afterPodUid = page.at(-1)?.podUid ?? ''
  }
}

/** One line of the text that a seal's hash is made over, in the order of Pod UIDs, sandboxes, hours and resources. */
export function lineText(line: ChargeLine): string {
  const { podUid, incarnation, hourMs, resource, sku = '', quantity, exact, nanos, currency } = line
  return `${[podUid, incarnation, hourMs, resource, sku, quantity, exact, nanos, currency].join('\t')}\n`
}

export function adjustmentsHash(adjustments: readonly Adjustment[]): string {
  const hash = createHash('sha256')
  for (const { id, amount, currency } of adjustments) hash.update(`${[id, amount, currency].join('\t')}\n`)
  return hash.digest('hex')
}

/** Why lines of the account within the period may still change. */
function doubtsOf(
  account: UsageInterval,
  { period, books }: { readonly period: Period; readonly books: ReadonlyMap<string, PriceBook> },
): Doubt[] {
  const { podUid, startMs, endMs, billed, confidence, observedUntilMs } = account
  // The account of an earlier sealed period, or one that only begins later.
  if (startMs >= period.toMs || (billed?.toMs ?? Infinity) <= period.fromMs) return []
  const book = bookOf(account, books)
  if (!book) return [{ podUid, why: 'its size is not known' }]
  if (endMs === undefined) {
    if (observedUntilMs >= period.toMs) return []
    return [{ podUid, why: `last seen at ${isoOf(observedUntilMs)}, before the period's end` }]
  }
  const isWithin = endMs < period.toMs && billedEndMs(account, book, endMs) > period.fromMs
  return confidence === 'estimated' && isWithin
    ? [{ podUid, why: `its end at ${isoOf(endMs)} is an estimate` }]
    : []
}

async function unanswered(ledger: LedgerStore, period: Period, signal: AbortSignal): Promise<Doubt[]> {
  const questions = await ledger.openQuestions(period, signal)
  return questions.map(({ podUid, kind, atMs }) => ({
    podUid,
    why: `${kind === 'INTENT' ? 'its start' : 'a resize'} at ${isoOf(atMs)} has no outcome yet`,
  }))
}

/** By currency. */
class InvoiceSums {
  readonly #sums = new Map<string, { lines: bigint; adjustments: bigint }>()

  addLine({ currency, nanos }: ChargeLine): void {
    this.#of(currency).lines += nanos
  }

  addAdjustment({ currency, amount }: Adjustment): void {
    this.#of(currency).adjustments += roundRational(parseDecimal(amount), nanoScale, 'half_even')
  }

  sums(): SealedSum[] {
    return [...this.#sums]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([currency, { lines, adjustments }]) => ({
        currency,
        lines,
        adjustments,
        total: lines + adjustments,
      }))
  }

  #of(currency: string): { lines: bigint; adjustments: bigint } {
    const sum = this.#sums.get(currency) ?? { lines: 0n, adjustments: 0n }
    this.#sums.set(currency, sum)
    return sum
  }
}

function refusal(uncertain: readonly Doubt[]): SpillwayError {
  const told = uncertain.slice(0, mostTold).map(({ podUid, why }) => `Pod ${podUid}: ${why}`)
  const more = uncertain.length > mostTold ? [`and ${uncertain.length - mostTold} more`] : []
  return refused(
    `not all of the period is certain: ${[...told, ...more].join('; ')}. Seal it later, or with --accept-uncertain: what becomes known then is corrected in a later period`,
  )
}

function refused(why: string): SpillwayError {
  return new SpillwayError('Rejected', why)
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString()
}
