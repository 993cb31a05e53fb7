import type { Clock } from '../model/clock.ts'
import { hasCode, SpillwayError } from '../model/errors.ts'
import type { LedgerFinding } from '../model/ledger-finding.ts'
import type { Log } from '../telemetry/log.ts'
import type { LedgerProblem } from './verify.ts'

/** What a check of the ledger against itself came to. */
export interface LedgerCheck {
  /** All of it, or what was written since the check before. */
  readonly scope: 'all' | 'new'
  /** Wall milliseconds. */
  readonly atMs: number
  /** Of the log, up to which it was read. */
  readonly events: number
  readonly problems: readonly LedgerProblem[]
}

interface Outage {
  readonly message: string
  isTold: boolean
  readonly cancel: () => void
  /** Monotonic: when events could last not be written. */
  lastWriteMs: number
}

/** A connection that is lost is begun again by the next call: that is not worth a word on every node. */
const outageMs = 5_000

/** Twice what a Pod that runs lets pass between two events. */
const quietMs = 120_000

const wayOut = 'nothing new starts (docs/guides/ledger-trouble.md)'

/**
 * What is known of the ledger: from checks of it, and from what becomes of each call. One that is damaged stays so until
 * all of it has been checked and holds; one that could not be written is well again at the next write.
 */
export class LedgerHealth {
  readonly #clock: Clock
  readonly #log: Log
  readonly #listeners = new Set<() => void>()
  #damage: string | undefined
  #outage: Outage | undefined
  #lastCheck: LedgerCheck | undefined

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  get finding(): LedgerFinding {
    if (this.#damage !== undefined) {
      return { status: 'False', reason: 'LedgerCorrupt', message: `${this.#damage}; ${wayOut}` }
    }
    if (this.#outage?.isTold) {
      return { status: 'False', reason: 'LedgerUnavailable', message: `${this.#outage.message}; ${wayOut}` }
    }
    if (!this.#lastCheck) {
      return { status: 'Unknown', reason: 'NotCheckedYet', message: 'the ledger has not been checked yet' }
    }
    return {
      status: 'True',
      reason: 'EveryClaimHolds',
      message: 'the ledger can be written, and held when it was last checked',
    }
  }

  get lastCheck(): LedgerCheck | undefined {
    return this.#lastCheck
  }

  get isDamaged(): boolean {
    return this.#damage !== undefined
  }

  /** Calls back when the finding is another one. Returns the end of the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Throws LedgerCorrupt once the ledger is known to be damaged: what was written into it then would go with it when a
   * backup takes its place. The backend keeps it meanwhile, as while a disk is full.
   */
  refuseIfDamaged(): void {
    if (this.#damage === undefined) return
    throw new SpillwayError('LedgerCorrupt', `${this.#damage}; nothing is written to it`)
  }

  /** What a call was rejected with. */
  failed(error: unknown, { isWrite }: { readonly isWrite: boolean }): void {
    if (hasCode(error, 'LedgerCorrupt')) this.#damaged(error.message)
    if (!hasCode(error, 'LedgerUnavailable')) return
    const outage = this.#failing(error.message)
    if (isWrite) outage.lastWriteMs = this.#clock.monotonicMs()
  }

  /**
   * How the renewal of the claim went. That it could be written does not end an outage that events meet: a full disk has
   * room for one row more often than for them. But when nobody has anything to write any more, it is all that can.
   */
  renewed(failure: SpillwayError | undefined): void {
    if (failure?.code === 'LedgerCorrupt') this.#damaged(failure.message)
    else if (failure) this.#failing(failure.message)
    else if (this.#clock.monotonicMs() - (this.#outage?.lastWriteMs ?? 0) >= quietMs) this.wrote()
  }

  /** Something is on disk that was not there before. */
  wrote(): void {
    const { isTold } = this.#outage ?? {}
    this.#outage?.cancel()
    this.#outage = undefined
    if (!isTold) return
    this.#log.info('the ledger can be written again')
    this.#tell()
  }

  checked(check: LedgerCheck): void {
    const { scope, events, problems } = check
    const isFirst = this.#lastCheck === undefined
    this.#lastCheck = check
    const [first] = problems
    if (first) {
      const more = problems.length > 1 ? `, and ${problems.length - 1} more` : ''
      this.#damaged(`the ledger contradicts itself (${first.claim}): ${first.message}${more}`)
      return
    }
    this.#log.debug({ scope, events }, 'the ledger was checked, and every claim holds')
    const isMended = this.#damage !== undefined && scope === 'all'
    if (isMended) {
      this.#damage = undefined
      this.#log.info({ events }, 'all of the ledger was checked, and holds again')
    }
    if (isFirst || isMended) this.#tell()
  }

  #damaged(message: string): void {
    // The first that was found wrong: what follows from it may be found in many places.
    if (this.#damage !== undefined) return
    this.#damage = message
    this.#log.error({ code: 'LedgerCorrupt', error: message }, 'the ledger is damaged: nothing new starts')
    this.#tell()
  }

  #failing(message: string): Outage {
    if (this.#outage) return this.#outage
    const cancel = this.#clock.timer(outageMs, () => {
      if (!this.#outage) return
      this.#outage.isTold = true
      this.#log.error(
        { code: 'LedgerUnavailable', error: message },
        'the ledger cannot be written: nothing new starts',
      )
      this.#tell()
    })
    this.#outage = { message, isTold: false, cancel, lastWriteMs: Number.NEGATIVE_INFINITY }
    return this.#outage
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
