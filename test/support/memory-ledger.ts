import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { migrate, type LedgerSchema } from '../../src/billing/store/schema.ts'
import { SqlLedger } from '../../src/billing/store/sql-ledger.ts'

/** The ledger's own SQL on a database without a file or a thread: for properties that open hundreds of them. */
export async function openMemoryLedger(): Promise<LedgerStore> {
  const database = new DatabaseSync(':memory:')
  // Preparing them anew takes most of the time of a ledger that lives for a few events.
  const statements = new Map<string, StatementSync>()
  const prepared = (text: string): StatementSync => {
    const known = statements.get(text)
    if (known) return known
    const statement = database.prepare(text)
    statement.setReadBigInts(true)
    statements.set(text, statement)
    return statement
  }
  const db = new Kysely<LedgerSchema>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare: (text) => {
          const statement = prepared(text)
          return {
            reader: statement.columns().length > 0,
            all: (values) => statement.all(...(values as SQLInputValue[])),
            run: (values) => statement.run(...(values as SQLInputValue[])),
            iterate: (values) => statement.iterate(...(values as SQLInputValue[])),
          }
        },
      },
    }),
  })
  await db.transaction().execute((transaction) => migrate(transaction, 'sqlite'))
  const ledger = new SqlLedger(db, () => Promise.resolve())
  await ledger.open({ readOnly: false })
  return Object.assign(ledger, { close: () => db.destroy() })
}
