import { sql, type ColumnType, type Kysely } from 'kysely'
import type { LedgerSchema } from './schema.ts'
import { appendOnly, orderedText, type SqlDialect } from './sql-dialect.ts'

type Int64 = ColumnType<bigint, number | bigint, number | bigint>
type NullableInt64 = ColumnType<bigint | null, number | bigint | null, number | bigint | null>

/** What sealed periods brought: accounts of sandboxes, their sums by day, adjustments by date, and the seals. */
export interface SealTables {
  /** Projection: what of each sandbox is billed by which account of it. Rewritten for a Pod with each of its events. */
  account: {
    pod_uid: string
    incarnation: Int64
    /** Of a frozen account the end of its sealed period; 0 of the current one. */
    sealed_until_ms: Int64
    /** Of the hours that it is billed for. */
    start_ms: Int64
    end_ms: NullableInt64
    /** 1: its amounts are in `day_total`. */
    counted: Int64
    body: string
  }
  /** Projection: the sums of rounded lines. Amounts are text: they may pass 2^63, and SQL is not to add up money. */
  day_total: {
    day_ms: Int64
    since_day_ms: Int64
    namespace: string
    pool: string
    currency: string
    pods: Int64
    estimated: Int64
    unpriced_cpu: Int64
    unpriced_memory: Int64
    unpriced_gpu: Int64
    cpu_milli_ms: string
    memory_mib_ms: string
    gpu_ms: string
    nanos: string
  }
  /** Projection: by when they count. */
  adjustment: { event_id: string; pod_uid: string; at_ms: Int64; body: string }
  /** Append-only, like `event`. */
  seal: { number: Int64; body: string; prev_hash: string; hash: string }
  /** One row: by which version of the program's rules the projections were made. */
  projection: { version: Int64 }
}

/** The accounts take the place of the table of intervals, which was a projection and is left out of no bill. */
export async function createSealTables(db: Kysely<LedgerSchema>, dialect: SqlDialect): Promise<void> {
  const text = orderedText(dialect)
  await db.schema.dropTable('interval').execute()
  await db.schema
    .createTable('account')
    .addColumn('pod_uid', text, (column) => column.notNull())
    .addColumn('incarnation', 'bigint', (column) => column.notNull())
    .addColumn('sealed_until_ms', 'bigint', (column) => column.notNull())
    .addColumn('start_ms', 'bigint', (column) => column.notNull())
    .addColumn('end_ms', 'bigint')
    .addColumn('counted', 'bigint', (column) => column.notNull())
    .addColumn('body', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('account_key', ['pod_uid', 'incarnation', 'sealed_until_ms'])
    .execute()
  await db.schema.createIndex('account_by_end').on('account').columns(['end_ms', 'start_ms']).execute()
  await db.schema
    .createIndex('account_not_counted')
    .on('account')
    .column('start_ms')
    .where(sql.ref('counted'), '=', 0)
    .execute()
  await db.schema
    .createTable('day_total')
    .addColumn('day_ms', 'bigint', (column) => column.notNull())
    .addColumn('since_day_ms', 'bigint', (column) => column.notNull())
    .addColumn('namespace', text, (column) => column.notNull())
    .addColumn('pool', text, (column) => column.notNull())
    .addColumn('currency', text, (column) => column.notNull())
    .addColumn('pods', 'bigint', (column) => column.notNull())
    .addColumn('estimated', 'bigint', (column) => column.notNull())
    .addColumn('unpriced_cpu', 'bigint', (column) => column.notNull())
    .addColumn('unpriced_memory', 'bigint', (column) => column.notNull())
    .addColumn('unpriced_gpu', 'bigint', (column) => column.notNull())
    .addColumn('cpu_milli_ms', text, (column) => column.notNull())
    .addColumn('memory_mib_ms', text, (column) => column.notNull())
    .addColumn('gpu_ms', text, (column) => column.notNull())
    .addColumn('nanos', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('day_total_key', ['day_ms', 'namespace', 'pool', 'currency', 'since_day_ms'])
    .execute()
  await db.schema
    .createTable('adjustment')
    .addColumn('event_id', text, (column) => column.primaryKey())
    .addColumn('pod_uid', text, (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('body', text, (column) => column.notNull())
    .execute()
  await db.schema.createIndex('adjustment_by_time').on('adjustment').column('at_ms').execute()
  await db.schema
    .createTable('seal')
    .addColumn('number', 'bigint', (column) => column.primaryKey())
    .addColumn('body', text, (column) => column.notNull())
    .addColumn('prev_hash', text, (column) => column.notNull().unique())
    .addColumn('hash', text, (column) => column.notNull())
    .execute()
  await appendOnly(db, dialect, 'seal')
  // Of none yet: whoever opens the ledger next makes the projections from the events.
  await db.schema
    .createTable('projection')
    .addColumn('version', 'bigint', (column) => column.primaryKey())
    .execute()
}
