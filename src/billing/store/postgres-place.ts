import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import { Claim, refuseToWrite, type Claimant } from './claim.ts'
import type { OpenedLedger, StillLedger } from './opened-ledger.ts'
import { isServerError } from './postgres-errors.ts'
import { PostgresSession } from './postgres-session.ts'
import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { checkVersion, migrate, type LedgerSchema } from './schema.ts'
import { hasTable } from './sql-dialect.ts'
import { SqlLedger } from './sql-ledger.ts'
import { TableStatistics } from './table-statistics.ts'

export interface PostgresPlaceOptions {
  readonly url: string
  readonly passwordFile: string | undefined
  readonly claimant: Claimant | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Opens a ledger in a schema of a PostgreSQL database. */
export async function openPostgresPlace(options: PostgresPlaceOptions): Promise<OpenedLedger> {
  const { passwordFile, claimant, environment } = options
  const url = parsePostgresUrl(options.url)
  const session = new PostgresSession({ url, passwordFile, environment, readOnly: !claimant })
  const db = new Kysely<LedgerSchema>({ dialect: new PostgresDialect({ pool: session }) })
  const place = new PostgresPlace({ db, session, schema: url.schema, claimant })
  try {
    await place.ready()
    return place
  } catch (error) {
    await db.destroy()
    throw error
  }
}

interface Parts {
  readonly db: Kysely<LedgerSchema>
  readonly session: PostgresSession
  readonly schema: string
  readonly claimant: Claimant | undefined
}

class PostgresPlace implements OpenedLedger {
  readonly ledger: SqlLedger
  readonly #parts: Parts
  readonly #claim: Claim | undefined
  readonly #statistics = new TableStatistics()
  #lock: SessionLock | undefined
  /** The session that was made ready. */
  #prepared = 0

  constructor(parts: Parts) {
    this.#parts = parts
    const { db, claimant } = parts
    this.#claim = claimant && new Claim({ dialect: 'postgres', claimant, nowMs: serverMs })
    this.ledger = new SqlLedger(db, (transaction) => this.#claim?.check(transaction) ?? refuseToWrite())
  }

  async ready(): Promise<void> {
    const { db, session, schema } = this.#parts
    // A session that was lost is begun again here, not in the middle of the call.
    await db.connection().execute(() => Promise.resolve())
    if (this.#prepared === session.generation) return
    await checkServer(db)
    if (this.#claim) await this.#claimLedger(this.#claim)
    else await checkReadable(db, schema)
    await this.ledger.open({ readOnly: !this.#claim })
    this.#prepared = session.generation
  }

  async snapshot<T>(work: () => Promise<T>): Promise<T> {
    const { db, session } = this.#parts
    await sql`begin isolation level repeatable read read only`.execute(db)
    try {
      return await work()
    } finally {
      // With the connection it has ended by itself.
      if (session.isAlive) await sql`rollback`.execute(db)
    }
  }

  async renew(): Promise<void> {
    const { db } = this.#parts
    const hasLock = (await this.#lock?.tryTake()) ?? false
    await this.#claim?.renew(db, hasLock)
    await this.#statistics.keep(db)
  }

  /** Its pages are the server's affair: what it cannot read it says when it is read. */
  async holdStill(): Promise<StillLedger> {
    const { db, session } = this.#parts
    // It holds up nobody who wants to take over, however long it thinks between two pages.
    await sql`set idle_in_transaction_session_timeout to 0`.execute(db)
    await sql`begin isolation level repeatable read read only`.execute(db)
    const { generation } = session
    return { problems: [], isStill: () => session.generation === generation }
  }

  async close(): Promise<void> {
    await this.#parts.db.destroy()
  }

  async #claimLedger(claim: Claim): Promise<void> {
    const { db, schema } = this.#parts
    await ensureSchema(db, schema)
    const lock = new SessionLock(db, await lockKey(db, 'writer', schema))
    if (!(await lock.tryTake())) {
      await claim.refuseWhileHeld(db)
      await lock.takeFromStalled()
    }
    await db.transaction().execute(async (transaction) => {
      await lockForMigration(transaction, schema)
      await migrate(transaction, 'postgres')
      await claim.take(transaction, lock.taken)
    })
    this.#lock = lock
  }
}

/**
 * Proof that a writer has ended: the server frees the lock with its session. A stalled process keeps its session, in the
 * middle of a transaction maybe: who takes over has the server end that.
 */
class SessionLock {
  readonly #db: Kysely<LedgerSchema>
  readonly #key: bigint
  #taken = false

  constructor(db: Kysely<LedgerSchema>, key: bigint) {
    this.#db = db
    this.#key = key
  }

  get taken(): boolean {
    return this.#taken
  }

  /** Answers whether it is ours now. */
  async tryTake(): Promise<boolean> {
    if (this.#taken) return true
    const query = sql<{ taken: boolean }>`select pg_try_advisory_lock(${this.#key}::bigint) as taken`
    this.#taken = (await query.execute(this.#db)).rows[0]?.taken ?? false
    return this.#taken
  }

  /** Without the right to end that session we write without the lock, and try for it again at each renewal. */
  async takeFromStalled(): Promise<void> {
    try {
      await sql`
        select pg_terminate_backend(pid) from pg_locks
        where locktype = 'advisory' and objsubid = 1 and granted
          and database = (select oid from pg_database where datname = current_database())
          and classid::bigint = ${(this.#key >> 32n) & 0xffff_ffffn}::bigint
          and objid::bigint = ${this.#key & 0xffff_ffffn}::bigint`.execute(this.#db)
      await sql`select pg_advisory_lock(${this.#key}::bigint)`.execute(this.#db)
      this.#taken = true
    } catch (error) {
      if (!isServerError(error)) throw error
    }
  }
}

async function lockKey(db: Kysely<LedgerSchema>, what: string, schema: string): Promise<bigint> {
  const name = `spillway ledger ${what} ${schema}`
  const { rows } = await sql<{ key: bigint }>`select hashtextextended(${name}, 0) as key`.execute(db)
  return rows[0]?.key ?? 0n
}

/** Starters that race go one after the other; the second finds everything done. */
async function lockForMigration(transaction: Transaction<LedgerSchema>, schema: string): Promise<void> {
  const key = await lockKey(transaction, 'migration', schema)
  await sql`select pg_advisory_xact_lock(${key}::bigint)`.execute(transaction)
}

/** Only asked for when it is not there: the right to make schemas is more than a ledger's role needs. */
async function ensureSchema(db: Kysely<LedgerSchema>, schema: string): Promise<void> {
  if (await hasSchema(db, schema)) return
  await db.transaction().execute(async (transaction) => {
    await lockForMigration(transaction, schema)
    await transaction.schema.createSchema(schema).ifNotExists().execute()
  })
}

async function hasSchema(db: Kysely<LedgerSchema>, schema: string): Promise<boolean> {
  const query = sql`select 1 from pg_namespace where nspname = ${schema}`
  return (await query.execute(db)).rows.length > 0
}

async function checkReadable(db: Kysely<LedgerSchema>, schema: string): Promise<void> {
  if (!(await hasTable(db, 'postgres', 'schema_version'))) {
    throw new SpillwayError('LedgerUnavailable', `there is no ledger in schema "${schema}"`)
  }
  await checkVersion(db)
}

/** What would make an acknowledged event less than durable, or not the text that its hash was made over. */
async function checkServer(db: Kysely<LedgerSchema>): Promise<void> {
  const wanted = { fsync: 'on', full_page_writes: 'on', server_encoding: 'UTF8' }
  for (const [name, value] of Object.entries(wanted)) {
    const query = sql<{ found: string }>`select current_setting(${name}) as found`
    const found = (await query.execute(db)).rows[0]?.found
    if (found === value) continue
    throw new SpillwayError(
      'Rejected',
      `the PostgreSQL server has ${name} = ${found}; a ledger needs ${value}`,
    )
  }
}

async function serverMs(db: Kysely<LedgerSchema>): Promise<number> {
  const query = sql<{ ms: bigint }>`select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms`
  return Number((await query.execute(db)).rows[0]?.ms)
}
