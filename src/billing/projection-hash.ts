import { createHash } from 'node:crypto'
import { encodeJson } from './ledger-json.ts'
import type { Adjustment, UsageInterval } from './projection.ts'
import type { DayTotal } from './usage-totals.ts'

/** Over all that is made from the log. What was made twice from the same events and seals has one hash. */
export class ProjectionHash {
  readonly #accounts = createHash('sha256')
  readonly #totals = new Map<string, string>()
  readonly #adjustments = new Map<string, string>()

  /** Pods in order of their UIDs, each with its accounts in the order of stores. */
  addAccounts(accounts: readonly UsageInterval[]): void {
    for (const account of accounts) this.#accounts.update(`${encodeJson(account)}\n`)
  }

  addTotal(key: string, total: DayTotal): void {
    this.#totals.set(key, encodeJson(total))
  }

  addAdjustment(adjustment: Adjustment): void {
    this.#adjustments.set(adjustment.id, encodeJson(adjustment))
  }

  digest(): string {
    const hash = createHash('sha256').update(this.#accounts.digest('hex'))
    for (const rows of [this.#totals, this.#adjustments]) {
      for (const [key, text] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1)))
        hash.update(`${key} ${text}\n`)
    }
    return hash.digest('hex')
  }
}
