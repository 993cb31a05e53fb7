import { sql, type Kysely } from 'kysely'
import { readHead } from './event-rows.ts'
import type { LedgerSchema } from './schema.ts'

const tables = [
  'event',
  'account',
  'heartbeat',
  'day_total',
] as const satisfies readonly (keyof LedgerSchema)[]

/** A smaller log is read as a whole as fast as by its index. */
const fromEvents = 1_000

/**
 * Keeps PostgreSQL's planner informed while a ledger grows. Without statistics it takes two hundred Pods for all that
 * there are, and reads the whole log for each append. The server's own autovacuum comes once a minute, or not at all
 * where it was turned off.
 */
export class TableStatistics {
  #ofEvents = 0

  /**
   * Anew when the log has doubled. Whoever may not, since they belong to another role, is warned by the server, no more.
   * A table that somebody is vacuuming is passed over: appends would wait for the end of that.
   */
  async keep(db: Kysely<LedgerSchema>): Promise<void> {
    const { seq } = await readHead(db)
    if (seq < fromEvents || seq < 2 * this.#ofEvents) return
    await sql`analyze (skip_locked) ${sql.join(tables.map((table) => sql.table(table)))}`.execute(db)
    this.#ofEvents = seq
  }
}
