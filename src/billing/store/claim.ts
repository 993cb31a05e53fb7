import type { Kysely, Selectable, Transaction } from 'kysely'
import { SpillwayError } from '../../model/errors.ts'
import type { LedgerSchema } from './schema.ts'
import { hasTable, type SqlDialect } from './sql-dialect.ts'

/** A holder that has not renewed its claim for so long may be replaced, though its process lives. */
export const claimLeaseMs = 15_000
export const claimRenewMs = 5_000

/** Who asks for a claim. */
export interface Claimant {
  /** Of this opening of the store alone, for ever. */
  readonly holder: string
  /** For people, as in `host 10.0.0.7, process 4711`. */
  readonly holderName: string
  /** The cluster that is metered; undefined: whichever the ledger belongs to. */
  readonly clusterUid: string | undefined
  /** This holder had a claim: it goes on with that one, and never takes a second. */
  readonly resume: boolean
}

export interface ClaimOptions {
  readonly dialect: SqlDialect
  readonly claimant: Claimant
  /** The clock that all claimants of the ledger share. */
  readonly nowMs: (db: Kysely<LedgerSchema>) => Promise<number>
}

/** One row that says who may write. Made by a migration. */
export async function createClaimTable(db: Kysely<LedgerSchema>): Promise<void> {
  await db.schema
    .createTable('writer')
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('cluster_uid', 'text')
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('holder', 'text', (column) => column.notNull())
    .addColumn('holder_name', 'text', (column) => column.notNull())
    .addColumn('has_lock', 'bigint', (column) => column.notNull())
    .addColumn('renewed_ms', 'bigint', (column) => column.notNull())
    .execute()
}

/**
 * The right to write a ledger, held by one store at a time. Each taking raises the epoch, and each write first looks,
 * in its own transaction, whether the epoch is still its own: a writer that slept through a takeover is refused, whatever
 * the time. Time only decides when a takeover is allowed: at once when the lock that the holder had is free, for then
 * its process or session has ended; else when it has not renewed the claim for `claimLeaseMs`.
 */
export class Claim {
  readonly #options: ClaimOptions
  #epoch: bigint | undefined

  constructor(options: ClaimOptions) {
    this.#options = options
  }

  /** Before anything is touched, by whoever did not get the lock. LedgerUnavailable: the holder is alive. */
  async refuseWhileHeld(db: Kysely<LedgerSchema>): Promise<void> {
    const { dialect, claimant } = this.#options
    // Without the table its holder has only begun, or is of a version that knew of no claims.
    const row = (await hasTable(db, dialect, 'writer')) ? await readRow(db) : undefined
    if (row?.holder === claimant.holder) return
    if (row && this.#wasHeld) throw takenOverError(row)
    if (!row || !(await this.#isStale(row, db))) throw heldError(row)
  }

  /** Takes the claim, or goes on with it. LedgerTakenOver, LedgerUnavailable, Rejected: another cluster's ledger. */
  async take(transaction: Transaction<LedgerSchema>, hasLock: boolean): Promise<void> {
    const { claimant, nowMs } = this.#options
    const row = await this.#lockRow(transaction)
    if (this.#wasHeld && row?.holder !== claimant.holder) throw takenOverError(row)
    const clusterUid = claimedCluster(row?.cluster_uid ?? (await firstCluster(transaction)), claimant)
    const own = row?.holder === claimant.holder
    const ended = hasLock && row?.has_lock === 1n
    if (row && !own && !ended && !(await this.#isStale(row, transaction))) throw heldError(row)
    const epoch = own ? row.epoch : (row?.epoch ?? 0n) + 1n
    const values = {
      cluster_uid: clusterUid ?? null,
      epoch,
      holder: claimant.holder,
      holder_name: claimant.holderName,
      has_lock: hasLock ? 1 : 0,
      renewed_ms: await nowMs(transaction),
    }
    if (row) await transaction.updateTable('writer').set(values).where('id', '=', 1n).execute()
    else
      await transaction
        .insertInto('writer')
        .values({ id: 1, ...values })
        .execute()
    this.#epoch = epoch
  }

  /** To be the first in a transaction that writes: on PostgreSQL it makes writers wait for each other. */
  async check(transaction: Transaction<LedgerSchema>): Promise<void> {
    const row = await this.#lockRow(transaction)
    if (row?.epoch !== this.#epoch) throw takenOverError(row)
  }

  /** Says that the holder lives. LedgerTakenOver: it is no longer the holder. */
  async renew(db: Kysely<LedgerSchema>, hasLock: boolean): Promise<void> {
    await db.transaction().execute(async (transaction) => {
      await this.check(transaction)
      const values = { has_lock: hasLock ? 1 : 0, renewed_ms: await this.#options.nowMs(transaction) }
      await transaction.updateTable('writer').set(values).where('id', '=', 1n).execute()
    })
  }

  /** By this holder, in this thread or in the one before it. */
  get #wasHeld(): boolean {
    return this.#options.claimant.resume || this.#epoch !== undefined
  }

  async #lockRow(transaction: Transaction<LedgerSchema>): Promise<ClaimRow | undefined> {
    const query = transaction.selectFrom('writer').selectAll().where('id', '=', 1n)
    const { dialect } = this.#options
    // SQLite's transactions hold the whole file from their beginning.
    return await (dialect === 'postgres' ? query.forUpdate() : query).executeTakeFirst()
  }

  async #isStale({ renewed_ms }: ClaimRow, db: Kysely<LedgerSchema>): Promise<boolean> {
    return (await this.#options.nowMs(db)) - Number(renewed_ms) > claimLeaseMs
  }
}

type ClaimRow = Selectable<LedgerSchema['writer']>

async function readRow(db: Kysely<LedgerSchema>): Promise<ClaimRow | undefined> {
  return await db.selectFrom('writer').selectAll().where('id', '=', 1n).executeTakeFirst()
}

/** For the guard of a ledger that is open for reading. */
export function refuseToWrite(): Promise<void> {
  return Promise.reject(new SpillwayError('LedgerUnavailable', 'it is open for reading only'))
}

/** Of a ledger that was written before claims were. */
async function firstCluster(db: Kysely<LedgerSchema>): Promise<string | undefined> {
  const row = await db.selectFrom('event').select('cluster_uid').orderBy('seq').limit(1).executeTakeFirst()
  return row?.cluster_uid
}

/**
 * A ledger is one cluster's: its chain, its lock and its backup are its own, so that no cluster waits for another or
 * falls with it. Pods of another cluster would be missed in this one and closed as lost while they run.
 */
function claimedCluster(found: string | undefined, { clusterUid }: Claimant): string | undefined {
  if (found === undefined || clusterUid === undefined || found === clusterUid) return clusterUid ?? found
  throw new SpillwayError(
    'Rejected',
    `the ledger belongs to the cluster with UID ${found}, and this one has ${clusterUid}: give each cluster a ledger of its own (docs/guides/ledger-stores.md)`,
  )
}

function heldError(row: ClaimRow | undefined): SpillwayError {
  const who = row ? ` (${row.holder_name})` : ''
  return new SpillwayError('LedgerUnavailable', `another Spillway${who} writes this ledger`)
}

function takenOverError(row: ClaimRow | undefined): SpillwayError {
  const who = row ? ` (${row.holder_name})` : ''
  return new SpillwayError(
    'LedgerTakenOver',
    `another Spillway${who} has taken over this ledger; this one writes nothing more`,
  )
}
