import { bill } from '../../src/billing/invoice.ts'
import type { LedgerStore, StoredEvent } from '../../src/billing/ledger.ts'
import { encodeJson } from '../../src/billing/ledger-json.ts'
import { sealPeriod } from '../../src/billing/seal-period.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { UsageEvent } from '../../src/model/usage.ts'
import { ourBill } from './python-oracle.ts'
import { walkSealedLog } from './sealed-oracle.ts'

/** A ledger whose periods are sealed under way, and every promise about them. */
export class SealedBills {
  readonly ledger: LedgerStore
  /** All that it was told, in order; the log has neither repetitions nor most heartbeats. */
  readonly told: UsageEvent[] = []
  /** What was printed of everything up to a seal, when it was made. */
  readonly #printed = new Map<number, string>()

  constructor(ledger: LedgerStore) {
    const append = ledger.append.bind(ledger)
    this.ledger = Object.assign(ledger, {
      append: async (events: readonly UsageEvent[], signal: AbortSignal) => {
        this.told.push(...events.filter((event) => !this.#isAsking(event)))
        return await append(events, signal)
      },
    })
  }

  /**
   * An INTENT of a Pod that has one is a question: the meter asks the log by it whether the Pod is new, and it is never
   * taken, whatever it says by then.
   */
  #isAsking({ id, fact }: UsageEvent): boolean {
    return fact.kind === 'INTENT' && this.told.some((event) => event.id === id)
  }

  /** What is sealed already, or comes before anything, is left as it is. */
  async seal(toMs: number): Promise<void> {
    try {
      await sealPeriod(this.ledger, { toMs, nowMs: toMs, acceptUncertain: true }, never)
    } catch (error) {
      if (!hasCode(error, 'Rejected') || !error.message.includes('is sealed already')) throw error
      return
    }
    this.#printed.set(toMs, await this.#print(toMs, toMs))
  }

  /** What is not as promised. `ran`: what all of it came to, by currency, if that is known. */
  async problems(nowMs: number, ran?: Readonly<Record<string, bigint>>): Promise<string[]> {
    const { ledger } = this
    const problems: string[] = []
    for (const [toMs, text] of this.#printed) {
      if ((await this.#print(toMs, nowMs)) !== text)
        problems.push(`what was sealed up to ${toMs} has changed`)
    }
    const log = { events: await eventsOf(ledger), seals: await ledger.seals(never) }
    const walked = walkSealedLog({ ...log, books: await ledger.priceBooks(never) }, nowMs)
    problems.push(...walked.problems)
    const { totals } = ourBill(await bill(ledger, { fromMs: 0, toMs: nowMs, by: 'pod', nowMs }, never))
    const sums: [string, unknown][] = [
      ['the bill', totals],
      ['seals, corrections and what is open', walked.billed],
      ['what the log says', walked.ran],
    ]
    for (const [what, sum] of sums) {
      const due = ran ?? walked.ran
      if (encodeJson(sum) !== encodeJson(due))
        problems.push(`${what}: ${encodeJson(sum)}, and must be ${encodeJson(due)}`)
    }
    const report = await verifyLedger(ledger, { nowMs }, never)
    return [...problems, ...report.problems.map(({ claim, message }) => `${claim}: ${message}`)]
  }

  async #print(toMs: number, nowMs: number): Promise<string> {
    const asked = { fromMs: 0, toMs, nowMs }
    return JSON.stringify([
      await bill(this.ledger, { ...asked, by: 'pod', explain: true }, never),
      await bill(this.ledger, { ...asked, by: 'namespace' }, never),
    ])
  }
}

async function eventsOf(ledger: LedgerStore): Promise<readonly StoredEvent[]> {
  return await ledger.events({ afterSeq: 0, limit: 1_000_000 }, never)
}

/** In which order, how many at a time, and with which seals between, events come once more. */
export interface Delivery {
  readonly order: readonly number[]
  readonly batch: number
  readonly seals: readonly { readonly afterPart: number; readonly toMs: number }[]
}

/** The same events in another order, each told twice, some much later. */
export async function deliver(
  sealed: SealedBills,
  events: readonly UsageEvent[],
  { order, batch, seals }: Delivery,
): Promise<void> {
  const placed = events.map((event, index) => ({ event, place: order[index % order.length] ?? 0, index }))
  const shuffled = placed.sort((a, b) => a.place - b.place || a.index - b.index).map(({ event }) => event)
  for (let at = 0; at < shuffled.length; at += batch) {
    for (const { afterPart, toMs } of seals) {
      const place = Math.floor(afterPart * shuffled.length)
      if (at <= place && place < at + batch) await sealed.seal(toMs)
    }
    const part = shuffled.slice(at, at + batch)
    await sealed.ledger.append(part, never)
    await sealed.ledger.append([...part, ...shuffled.slice(0, at % 5)], never)
  }
}

const never = new AbortController().signal
