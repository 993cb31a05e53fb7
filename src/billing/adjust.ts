import { createHash } from 'node:crypto'
import { SpillwayError } from '../model/errors.ts'
import { nanoScale, parseDecimal } from '../model/money.ts'
import { asPodUid, type PodUid } from '../model/pod-key.ts'
import { usageEvent, type AdjustedThing, type UsageEvent } from '../model/usage.ts'
import { nameOf } from './corrections.ts'
import type { LedgerStore } from './ledger.ts'
import type { Adjustment, PodHistory } from './projection.ts'
import { sealedUntil } from './seal.ts'

export interface AdjustRequest {
  /** UID of the Pod that it is about; or a namespace as a whole. One of the two. */
  readonly pod?: string
  readonly namespace?: string
  /** A decimal string, negative for a credit. */
  readonly amount: string
  /** ISO 4217. Left out: that of the Pod's price book, or the only one of the ledger. */
  readonly currency?: string
  readonly reason: string
  readonly author: string
  /** What keeps a repeated one from counting twice. Left out: made from all the above. */
  readonly id?: string
  /** When it counts. Default now; not in a sealed period. */
  readonly atMs?: number
  readonly nowMs: number
}

/** `known`: it had been made before, and was not made again. */
export interface AdjustOutcome {
  readonly outcome: 'appended' | 'known'
  readonly adjustment: Adjustment
}

/**
 * A correction in money by someone who answers for it. Rejects with Usage, naming the field, for what cannot be one;
 * with Rejected when another one has that id.
 */
export async function adjust(
  ledger: LedgerStore,
  request: AdjustRequest,
  signal: AbortSignal,
): Promise<AdjustOutcome> {
  checkFields(request)
  const about = await thingOf(ledger, request, signal)
  const currency = request.currency ?? (await currencyOf(ledger, about, signal))
  const sealedUntilMs = sealedUntil(await ledger.seals(signal))
  const atMs = request.atMs ?? Math.max(request.nowMs, sealedUntilMs)
  if (atMs < sealedUntilMs) {
    throw usage(
      '--at',
      new Date(atMs).toISOString(),
      `a time from ${new Date(sealedUntilMs).toISOString()} on: what is before it is sealed`,
    )
  }
  const event = eventOf({ ...request, currency, atMs }, about)
  const before = await find(ledger, event, signal)
  if (before) return { outcome: 'known', adjustment: before }
  const [outcome] = await ledger.append([event], signal)
  const made = await find(ledger, event, signal)
  if (!made)
    throw new SpillwayError('LedgerCorrupt', `the adjustment ${event.id} was ${outcome} and is not there`)
  return { outcome: outcome === 'appended' ? 'appended' : 'known', adjustment: made }
}

function checkFields({ pod, namespace, amount, currency, reason, author }: AdjustRequest): void {
  if ((pod === undefined) === (namespace === undefined)) {
    throw new SpillwayError('Usage', '--pod, --namespace: give one of the two')
  }
  const decimal = /^-?\d+(\.(\d+))?$/.exec(amount)
  if (!decimal || (decimal[2]?.length ?? 0) > nanoScale || parseDecimal(amount).num === 0n) {
    throw usage('--amount', amount, `a decimal other than 0 with at most ${nanoScale} places, such as -12.50`)
  }
  if (currency !== undefined && !/^[A-Z]{3}$/.test(currency)) {
    throw usage('--currency', currency, 'three capital letters of ISO 4217, such as USD')
  }
  if (reason.trim() === '') throw usage('--reason', reason, 'a sentence that tells a reader of the bill why')
  if (author.trim() === '') throw usage('--author', author, 'who answers for it')
}

interface Thing {
  readonly podUid: PodUid
  readonly clusterUid: string
  readonly named: AdjustedThing
  readonly history: PodHistory | undefined
}

async function thingOf(
  ledger: LedgerStore,
  { pod, namespace = '' }: AdjustRequest,
  signal: AbortSignal,
): Promise<Thing> {
  const [first] = await ledger.events({ afterSeq: 0, limit: 1 }, signal)
  if (!first) throw new SpillwayError('Rejected', 'the ledger is empty: there is nothing to adjust')
  const { clusterUid } = first.event
  if (pod === undefined) {
    const named = { namespace, workload: '', pod: '', pool: '' }
    // Events are each of a Pod; a namespace stands in the place of one, under a name that no UID has.
    return { podUid: asPodUid(`namespace/${namespace}`), clusterUid, named, history: undefined }
  }
  const podUid = asPodUid(pod)
  const history = await ledger.history(podUid, signal)
  const [interval] = history.intervals
  const named = nameOf(interval)
  if (!interval || !named)
    throw usage('--pod', pod, 'the UID of a Pod that was billed (spillway bill --by pod --json)')
  return { podUid, clusterUid: interval.clusterUid, named, history }
}

async function currencyOf(ledger: LedgerStore, { history }: Thing, signal: AbortSignal): Promise<string> {
  const books = await ledger.priceBooks(signal)
  const book = books.find(({ id }) => id === history?.terms?.priceBook)
  if (book) return book.currency
  const known = [...new Set(books.map(({ currency }) => currency))].sort()
  const [only] = known
  if (only !== undefined && known.length === 1) return only
  throw new SpillwayError(
    'Usage',
    `--currency: missing; the ledger's price books have ${known.join(', ') || 'none'}`,
  )
}

function eventOf(
  request: AdjustRequest & { readonly currency: string; readonly atMs: number },
  { podUid, clusterUid, named }: Thing,
): UsageEvent {
  const { amount, currency, reason, author, nowMs, atMs } = request
  const said = [podUid, named.namespace, amount, currency, reason, author].join('\0')
  const reference = request.id ?? createHash('sha256').update(said).digest('hex').slice(0, 16)
  return usageEvent({
    clusterUid,
    podUid,
    incarnation: 0,
    atMs,
    observedMs: nowMs,
    source: 'person',
    fact: { kind: 'ADJUSTED', reference, reason, amount, currency, author, about: named },
  })
}

/** The one of that id. It has to say the same, except for when. */
async function find(
  ledger: LedgerStore,
  event: UsageEvent,
  signal: AbortSignal,
): Promise<Adjustment | undefined> {
  const ever = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }
  const known = (await ledger.adjustments(ever, signal)).find(({ id }) => id === event.id)
  if (!known || event.fact.kind !== 'ADJUSTED') return undefined
  const { reference, amount, currency, reason, author } = event.fact
  const isSame =
    known.amount === amount &&
    known.currency === currency &&
    known.reason === reason &&
    known.author === author
  if (isSame) return known
  throw new SpillwayError(
    'Rejected',
    `--id: there is an adjustment "${reference}" already, of ${known.amount} ${known.currency} by ${known.author ?? 'nobody'} (${known.reason}); another one needs another id`,
  )
}

function usage(flag: string, found: string, allowed: string): SpillwayError {
  return new SpillwayError('Usage', `${flag}: found "${found}"; allowed: ${allowed}`)
}
