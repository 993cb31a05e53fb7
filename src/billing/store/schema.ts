import type { ColumnType, Kysely } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import { createClaimTable } from './claim.ts'
import { createHeartbeatTable, type HeartbeatTable } from './heartbeat-rows.ts'
import { createSealTables, type SealTables } from './seal-tables.ts'
import { appendOnly, orderedText, type SqlDialect } from './sql-dialect.ts'

/** 64-bit integers: read as bigint, since they do not fit a number. */
export type Int64 = ColumnType<bigint, number | bigint, number | bigint>

export interface LedgerSchema extends SealTables, HeartbeatTable {
  /** Append-only: the one table that is the truth. */
  event: {
    seq: Int64
    event_id: string
    cluster_uid: string
    pod_uid: string
    incarnation: Int64
    kind: string
    at_ms: Int64
    observed_ms: Int64
    source: string
    body: string
    prev_hash: string
    hash: string
  }
  price_book: { id: string; body: string }
  /** Who may write: at most one row (claim.ts). */
  writer: {
    id: Int64
    cluster_uid: string | null
    epoch: Int64
    holder: string
    holder_name: string
    /** 1: the holder has the lock that the system frees when it ends. */
    has_lock: Int64
    renewed_ms: Int64
  }
  schema_version: { version: Int64 }
}

/** Numbered from 1; a published one never changes. */
const migrations: readonly ((db: Kysely<LedgerSchema>, dialect: SqlDialect) => Promise<void>)[] = [
  createLedger,
  createClaimTable,
  createSealTables,
  createHeartbeatTable,
]

export const schemaVersion = migrations.length

/** Brings the schema to this program's version, in the caller's transaction. Rejected: a newer program wrote it. */
export async function migrate(db: Kysely<LedgerSchema>, dialect: SqlDialect): Promise<void> {
  await db.schema
    .createTable('schema_version')
    .ifNotExists()
    .addColumn('version', 'bigint', (column) => column.primaryKey())
    .execute()
  const found = await readVersion(db)
  refuseNewer(found)
  for (const [index, step] of migrations.entries()) {
    if (index < found) continue
    await step(db, dialect)
    await db
      .insertInto('schema_version')
      .values({ version: index + 1 })
      .execute()
  }
}

/** For a reader, which changes nothing: the schema has to be this program's own. */
export async function checkVersion(db: Kysely<LedgerSchema>): Promise<void> {
  const found = await readVersion(db)
  refuseNewer(found)
  if (found < schemaVersion) {
    throw new SpillwayError(
      'Rejected',
      `the ledger has schema version ${found}, this program reads ${schemaVersion}: let \`spillway run\` open it once, which brings it up to date`,
    )
  }
}

async function readVersion(db: Kysely<LedgerSchema>): Promise<number> {
  const row = await db
    .selectFrom('schema_version')
    .select('version')
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
  return Number(row?.version ?? 0n)
}

function refuseNewer(found: number): void {
  if (found > schemaVersion) {
    throw new SpillwayError(
      'Rejected',
      `the ledger has schema version ${found}, this program knows up to ${schemaVersion}: it was written by a newer Spillway, use that one`,
    )
  }
}

async function createLedger(db: Kysely<LedgerSchema>, dialect: SqlDialect): Promise<void> {
  const text = orderedText(dialect)
  await db.schema
    .createTable('event')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('event_id', text, (column) => column.notNull().unique())
    .addColumn('cluster_uid', text, (column) => column.notNull())
    .addColumn('pod_uid', text, (column) => column.notNull())
    .addColumn('incarnation', 'bigint', (column) => column.notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('observed_ms', 'bigint', (column) => column.notNull())
    .addColumn('source', text, (column) => column.notNull())
    .addColumn('body', text, (column) => column.notNull())
    // Unique: two writers cannot both follow the same event.
    .addColumn('prev_hash', text, (column) => column.notNull().unique())
    .addColumn('hash', text, (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('event_by_pod')
    .on('event')
    .columns(['pod_uid', 'kind', 'incarnation', 'at_ms'])
    .execute()
  await db.schema.createIndex('event_by_kind').on('event').columns(['kind', 'at_ms']).execute()
  await db.schema
    .createTable('interval')
    .addColumn('pod_uid', text, (column) => column.notNull())
    .addColumn('incarnation', 'bigint', (column) => column.notNull())
    .addColumn('start_ms', 'bigint', (column) => column.notNull())
    .addColumn('end_ms', 'bigint')
    .addColumn('body', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('interval_key', ['pod_uid', 'incarnation'])
    .execute()
  await db.schema.createIndex('interval_by_end').on('interval').columns(['end_ms', 'start_ms']).execute()
  await db.schema
    .createTable('price_book')
    .addColumn('id', text, (column) => column.primaryKey())
    .addColumn('body', text, (column) => column.notNull())
    .execute()
  await appendOnly(db, dialect, 'event')
}
