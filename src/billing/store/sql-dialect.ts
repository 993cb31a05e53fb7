import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'

/** Which database a ledger lies in. What they do not share is in this file, and in how each is opened. */
export type SqlDialect = 'sqlite' | 'postgres'

/** The type of a text column that rows are ordered by: by bytes, as SQLite does, and not by a country's alphabet. */
export function orderedText(dialect: SqlDialect): 'text' | RawBuilder<unknown> {
  return dialect === 'sqlite' ? 'text' : sql`text collate "C"`
}

/** From now on the database itself refuses to change or remove a row of the table. To be called once in a migration. */
export async function appendOnly(
  db: QueryExecutorProvider,
  dialect: SqlDialect,
  table: string,
): Promise<void> {
  const statements = dialect === 'sqlite' ? sqliteTriggers(table) : postgresTriggers(table)
  for (const statement of statements) await sql.raw(statement).execute(db)
}

function sqliteTriggers(table: string): string[] {
  return ['update', 'delete'].map(
    (change) =>
      `create trigger ${table}_no_${change} before ${change} on ${table} begin select raise(abort, 'the ledger is append-only'); end`,
  )
}

/** For each statement, not for each row: TRUNCATE has no rows, and a change that finds none is refused as well. */
function postgresTriggers(table: string): string[] {
  return [
    `create or replace function refuse_change() returns trigger language plpgsql as $$ begin raise exception 'the ledger is append-only'; end $$`,
    `create trigger ${table}_append_only before update or delete or truncate on ${table} for each statement execute function refuse_change()`,
  ]
}

export async function hasTable(
  db: QueryExecutorProvider,
  dialect: SqlDialect,
  table: string,
): Promise<boolean> {
  const query =
    dialect === 'sqlite'
      ? sql`select 1 from sqlite_master where type = 'table' and name = ${table}`
      : sql`select 1 where to_regclass(${table}) is not null`
  return (await query.execute(db)).rows.length > 0
}
