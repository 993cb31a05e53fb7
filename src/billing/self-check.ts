import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { LedgerStore } from './ledger.ts'
import type { LedgerHealth } from './ledger-health.ts'
import type { CheckedLedger, CheckRequest, LogPosition } from './store/check-messages.ts'
import type { LedgerReport } from './verify.ts'

export interface SelfCheckOptions {
  readonly ledger: Pick<LedgerStore, 'head'>
  readonly health: LedgerHealth
  readonly check: (
    request: Pick<CheckRequest, 'nowMs' | 'after' | 'written' | 'rests'>,
    signal: AbortSignal,
  ) => Promise<CheckedLedger>
  /** Between two looks at what is new. */
  readonly everyMs: number
  /** Between two looks at all of it. */
  readonly fullEveryMs: number
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/**
 * Checks the ledger against itself: all of it at the start and now and then, what is new in between. A log that was checked
 * need not be read again to be known to be the same: the hash of its last event covers it; but disks forget.
 */
export class SelfCheck {
  readonly #options: SelfCheckOptions
  /** Monotonic. */
  #fullDueMs = 0
  /** Up to where the log was found whole. */
  #checked: LogPosition | undefined
  #begun = 0
  #heard = 0

  constructor(options: SelfCheckOptions) {
    this.#options = options
  }

  /** Until the signal is aborted, then resolves. A check that could not be made is made again at the next turn. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, everyMs, random, log } = this.#options
    while (!signal.aborted) {
      try {
        await this.#look(signal)
      } catch (error) {
        if (signal.aborted) return
        // What is damaged has been said, and is kept.
        if (!hasCode(error, 'LedgerCorrupt'))
          log.warn({ error: errorMessage(error) }, 'the ledger could not be checked')
      }
      try {
        await clock.sleep(Math.round(everyMs * (0.9 + 0.2 * random())), signal)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  /** Checks all of it now, for somebody who asks; what is found counts. Rejects as checkLedger does. */
  async verify(signal: AbortSignal): Promise<LedgerReport> {
    const checked = await this.#check({ after: undefined, rests: false }, signal)
    if (checked.scope !== 'all')
      throw new Error('all of the ledger was to be checked, and only new events were')
    return checked.report
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, health } = this.#options
    // What was damaged is well again only when all of it is.
    const isFull = !this.#checked || health.isDamaged || clock.monotonicMs() >= this.#fullDueMs
    await this.#check({ after: isFull ? undefined : this.#checked, rests: true }, signal)
  }

  async #check(
    { after, rests }: Pick<CheckRequest, 'after' | 'rests'>,
    signal: AbortSignal,
  ): Promise<CheckedLedger> {
    const { check, clock, fullEveryMs, health } = this.#options
    this.#begun += 1
    const turn = this.#begun
    const startedMs = clock.monotonicMs()
    let checked: CheckedLedger
    try {
      checked = await check(
        { nowMs: clock.wallMs(), after, written: await this.#written(signal), rests },
        signal,
      )
    } catch (error) {
      if (!signal.aborted && hasCode(error, 'LedgerCorrupt')) {
        const problems = [{ claim: 'all of it can be read', message: error.message } as const]
        health.checked({
          scope: after ? 'new' : 'all',
          atMs: clock.wallMs(),
          events: after?.seq ?? 0,
          problems,
        })
      }
      throw error
    }
    // One that began later has told already what is so now.
    if (turn < this.#heard) return checked
    this.#heard = turn
    const { scope, report } = checked
    const { events, headHash, problems } = report
    health.checked({ scope, atMs: clock.wallMs(), events, problems })
    this.#checked = problems.length > 0 ? undefined : { seq: events, hash: headHash }
    if (scope === 'all') this.#fullDueMs = startedMs + fullEveryMs
    return checked
  }

  /** A ledger that cannot be read by its writer may be by others, and the reverse: each is a finding of its own. */
  async #written(signal: AbortSignal): Promise<LogPosition | undefined> {
    try {
      return await this.#options.ledger.head(signal)
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }
}
