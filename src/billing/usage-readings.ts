import type { Clock } from '../model/clock.ts'
import type { Quantities } from '../model/usage.ts'
import { addQuantities, noQuantities } from '../model/usage.ts'
import { floorDay } from './day-charges.ts'
import type { LedgerStore } from './ledger.ts'
import type { UsageTotal } from './usage-totals.ts'

/** For metrics: floats, since the ledger began. */
export interface UsageReading {
  readonly openIntervals: number
  readonly unreconciled: number
  readonly lagSeconds: number
  readonly usage: readonly UsedByPlace[]
  readonly spend: readonly SpentByPlace[]
}

interface Place {
  readonly namespace: string
  readonly pool: string
}

interface UsedByPlace extends Place {
  readonly coreSeconds: number
  readonly gibSeconds: number
  readonly gpuSeconds: number
}

interface SpentByPlace extends Place {
  readonly currency: string
  readonly amount: number
}

const dayMs = 86_400_000
/** Several metrics of one scrape, and the scrapes of several servers, share a reading. */
const sharedMs = 5_000
/**
 * What runs is counted up to a minute ago. By then an end is in the ledger, so that a Pod which had ended is not counted
 * beyond its end: a counter must not go back.
 */
const behindMs = 60_000
/** Five heartbeats. */
const unseenMs = 300_000

/**
 * What counters say, from the ledger: a restart does not begin at zero. The ledger keeps sums by day, so a reading costs
 * what runs now and not what ever ran. A correction downwards (an end that was earlier than it seemed) is held back until
 * the true figure has come by: to Prometheus a counter that goes back has begun anew, and all of it would count twice.
 */
export class UsageReadings {
  readonly #ledger: LedgerStore
  readonly #clock: Clock
  readonly #highest = new Map<string, number>()
  #last: { readonly atMs: number; readonly reading: Promise<UsageReading> } | undefined

  constructor(ledger: LedgerStore, clock: Clock) {
    this.#ledger = ledger
    this.#clock = clock
  }

  /** Rejects as the ledger does. */
  async read(signal: AbortSignal): Promise<UsageReading> {
    const atMs = this.#clock.monotonicMs()
    if (this.#last && atMs - this.#last.atMs < sharedMs) return await this.#last.reading
    const reading = this.#readNow(signal)
    this.#last = { atMs, reading }
    try {
      return await reading
    } catch (error) {
      this.#last = undefined
      throw error
    }
  }

  async #readNow(signal: AbortSignal): Promise<UsageReading> {
    const nowMs = this.#clock.wallMs()
    // Whole days are sums that are kept; a part of a day would be read Pod by Pod.
    const period = { fromMs: 0, toMs: floorDay(nowMs) + dayMs }
    const [open, totals] = await Promise.all([
      this.#ledger.openIntervals(signal),
      this.#ledger.totals({ period, by: ['namespace', 'pool'], nowMs: nowMs - behindMs }, signal),
    ])
    const seenMs = open.map(({ observedUntilMs }) => observedUntilMs)
    return {
      openIntervals: open.length,
      unreconciled: seenMs.filter((ms) => nowMs - ms > unseenMs).length,
      lagSeconds: seenMs.reduce((most, ms) => Math.max(most, nowMs - ms), 0) / 1000,
      usage: this.#usage(totals),
      spend: totals.flatMap(({ namespace, pool, currency, nanos }) => {
        if (currency === '') return []
        const amount = this.#risen(['spend', namespace, pool, currency], Number(nanos) / 1e9)
        return [{ namespace, pool, currency, amount }]
      }),
    }
  }

  /** One a place: a namespace may be billed in several currencies. */
  #usage(totals: readonly UsageTotal[]): UsedByPlace[] {
    const places = Map.groupBy(totals, ({ namespace, pool }) => JSON.stringify([namespace, pool]))
    return [...places.values()].flatMap((own) => {
      const [first] = own
      if (!first) return []
      const { namespace, pool } = first
      const sum = own.map(({ quantities }) => quantities).reduce<Quantities>(addQuantities, noQuantities)
      const used = (what: string, amount: bigint, perSecond: number): number =>
        this.#risen([what, namespace, pool], Number(amount) / perSecond)
      return [
        {
          namespace,
          pool,
          coreSeconds: used('cpu', sum.cpuMilliMs, 1e6),
          gibSeconds: used('memory', sum.memoryMiBMs, 1024e3),
          gpuSeconds: used('gpu', sum.gpuMs, 1e3),
        },
      ]
    })
  }

  #risen(series: readonly string[], value: number): number {
    const key = JSON.stringify(series)
    const highest = Math.max(value, this.#highest.get(key) ?? 0)
    this.#highest.set(key, highest)
    return highest
  }
}
