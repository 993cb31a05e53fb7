import { mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely, SqliteDialect, type SqliteDatabase } from 'kysely'
import type { Clock } from '../../model/clock.ts'
import { errorMessage } from '../../model/errors.ts'
import { diskFailure } from '../ledger.ts'
import { Claim, refuseToWrite, type Claimant } from './claim.ts'
import type { LedgerFailure } from './ledger-messages.ts'
import type { OpenedLedger } from './opened-ledger.ts'
import { checkVersion, migrate, type LedgerSchema } from './schema.ts'
import { SqlLedger } from './sql-ledger.ts'
import { openBesideWriter, readOneMoment, ReadLog } from './sqlite-reading.ts'

export interface SqlitePlaceOptions {
  readonly file: string
  readonly claimant: Claimant | undefined
  /** Opened for reading all the time beside a writer. */
  readonly besideWriter: boolean
  readonly clock: Clock
}

/** Opens a ledger file in this thread, which every statement and every wait for the disk holds up. */
export async function openSqlitePlace(options: SqlitePlaceOptions): Promise<OpenedLedger> {
  const { file, claimant, besideWriter, clock } = options
  const lock = claimant && new FileLock(`${file}.lock`)
  let database: DatabaseSync | undefined
  try {
    lock?.tryTake()
    database = besideWriter ? openBesideWriter(file) : new DatabaseSync(file, { readOnly: !claimant })
    const opened = database
    const log = new ReadLog(file, opened)
    const { db, claim } = await openDatabase(database, { claimant, clock, hasLock: lock?.taken ?? false })
    const ledger = new SqlLedger(db, (transaction) => claim?.check(transaction) ?? refuseToWrite())
    await ledger.open({ readOnly: !claimant })
    return {
      ledger,
      ready: () => Promise.resolve(),
      snapshot: async (work) => {
        const found = await readOneMoment(opened, work)
        if (besideWriter) log.shorten()
        return found
      },
      renew: async () => await claim?.renew(db, lock?.tryTake() ?? false),
      holdStill: async (breathe) => {
        const problems = database ? await holdStill(database, breathe) : []
        return { problems, isStill: () => true }
      },
      close: () => {
        database?.close()
        lock?.release()
        return Promise.resolve()
      },
    }
  } catch (error) {
    // Before anybody hears of it: whoever tries again at once must find the lock free.
    database?.close()
    lock?.release()
    throw error
  }
}

async function openDatabase(
  database: DatabaseSync,
  {
    claimant,
    clock,
    hasLock,
  }: { readonly claimant: Claimant | undefined; readonly clock: Clock; readonly hasLock: boolean },
): Promise<{ readonly db: Kysely<LedgerSchema>; readonly claim: Claim | undefined }> {
  database.exec('pragma busy_timeout = 5000')
  if (claimant)
    database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536')
  const db = new Kysely<LedgerSchema>({ dialect: new SqliteDialect({ database: kyselyDatabase(database) }) })
  if (!claimant) {
    await checkVersion(db)
    return { db, claim: undefined }
  }
  const nowMs = (): Promise<number> => Promise.resolve(clock.wallMs())
  const claim = new Claim({ dialect: 'sqlite', claimant, nowMs })
  if (!hasLock) await claim.refuseWhileHeld(db)
  await db.transaction().execute(async (transaction) => {
    await migrate(transaction, 'sqlite')
    await claim.take(transaction, hasLock)
  })
  return { db, claim }
}

/** The writer goes on meanwhile: into its write-ahead log, which is only longer for it. */
// oxlint-disable-next-line typescript/require-await -- what it throws is to be a rejection
async function holdStill(database: DatabaseSync, breathe: () => void): Promise<readonly string[]> {
  database.exec('begin')
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all()
  // One after the other, with their indices: a single statement over all of a large file cannot be broken off.
  return tables.flatMap(({ name }) => {
    breathe()
    const rows = database.prepare(`pragma integrity_check("${String(name)}")`).all()
    return rows.map((row) => String(row['integrity_check'])).filter((finding) => finding !== 'ok')
  })
}

/**
 * Proof that a writer has ended: a transaction that never ends on a file beside the ledger is a lock that the kernel
 * frees when the process dies, and that readers do not meet.
 */
class FileLock {
  readonly #file: string
  #database: DatabaseSync | undefined

  constructor(file: string) {
    this.#file = file
  }

  get taken(): boolean {
    return this.#database !== undefined
  }

  /** Answers whether it is ours now. */
  tryTake(): boolean {
    if (this.#database) return true
    const database = new DatabaseSync(this.#file)
    try {
      database.exec('pragma busy_timeout = 500; pragma locking_mode = exclusive; begin exclusive')
      this.#database = database
      return true
    } catch (error) {
      database.close()
      if (busyCodes.has(sqliteResult(error))) return false
      throw error
    }
  }

  release(): void {
    this.#database?.close()
    this.#database = undefined
  }
}

/** Kysely speaks to better-sqlite3, an add-on that has to be compiled; node:sqlite differs from it only in this. */
function kyselyDatabase(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: (text) => {
      const statement = database.prepare(statementFor(text, database))
      statement.setReadBigInts(true)
      return {
        reader: statement.columns().length > 0,
        all: (values) => statement.all(...(values as SQLInputValue[])),
        run: (values) => statement.run(...(values as SQLInputValue[])),
        iterate: (values) => statement.iterate(...(values as SQLInputValue[])),
      }
    },
  }
}

function statementFor(text: string, { isTransaction }: DatabaseSync): string {
  // The lock is taken at once: a transaction that reads first and writes later cannot wait for another writer.
  if (text === 'begin') return 'begin immediate'
  // A full disk has rolled it back already, and the error of a second rollback would hide that.
  return text === 'rollback' && !isTransaction ? 'select 0' : text
}

// SQLITE_BUSY and SQLITE_LOCKED.
const busyCodes = new Set([5, 6])

// SQLITE_CORRUPT and SQLITE_NOTADB: trying again does not help.
const corruptCodes = new Set([11, 26])

// SQLITE_FULL, and SQLITE_IOERR, which is what a full disk gives to the index of the write-ahead log.
const diskCodes = new Set([13, 10])

// SQLITE_READONLY and SQLITE_CANTOPEN: a disk that was mounted read-only, which errors do to many, or a mistake.
const refusalCodes = new Set([8, 14])

export function sqliteFailure(error: unknown, file: string): LedgerFailure {
  const result = sqliteResult(error)
  const message = errorMessage(error)
  if (corruptCodes.has(result)) return { code: 'LedgerCorrupt', message }
  if (refusalCodes.has(result) && isReadOnlyDisk(dirname(file))) {
    const told = `${message}: the disk is mounted read-only`
    return { code: 'LedgerUnavailable', message: told, reason: diskFailure }
  }
  return { code: 'LedgerUnavailable', message, ...(diskCodes.has(result) && { reason: diskFailure }) }
}

/** Asked by writing: a disk that the kernel has given up on may still be said to be writable. */
function isReadOnlyDisk(folder: string): boolean {
  try {
    rmdirSync(mkdtempSync(join(folder, '.writable-')))
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && (error.code === 'EROFS' || error.code === 'EIO')
  }
}

/** SQLite's primary result code; 0 of another error. */
function sqliteResult(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
}
