/**
 * The thread that owns the SQLite file. node:sqlite is synchronous, and with `synchronous=FULL` each commit waits for
 * the disk: on the main thread that would hold up leases, probes and streams.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { Kysely, SqliteDialect, type SqliteDatabase } from 'kysely'
import { errorMessage, SpillwayError, type ErrorCode } from '../../model/errors.ts'
import { diskFailure } from '../ledger.ts'
import { checkVersion, migrate, type LedgerSchema } from './schema.ts'
import { SqlLedger } from './sql-ledger.ts'

export interface SqliteWorkerData {
  readonly file: string
  readonly readOnly: boolean
}

export type LedgerCall = {
  readonly [M in keyof SqlLedger]: { readonly method: M; readonly args: Parameters<SqlLedger[M]> }
}[keyof SqlLedger]

export interface WorkerRequest {
  readonly id: number
  /** Undefined: close the file and end. */
  readonly call: LedgerCall | undefined
}

/** `id` 0 tells how the opening went. */
export type WorkerAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number
      readonly ok: false
      readonly code: ErrorCode
      readonly reason?: string
      readonly message: string
    }

async function open({ file, readOnly }: SqliteWorkerData): Promise<Opened> {
  const lock = readOnly ? undefined : lockForWriting(file)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { readOnly })
    return { database, lock, ledger: await openLedger(database, readOnly) }
  } catch (error) {
    // Before anybody hears of it: whoever tries again at once must find the lock free.
    database?.close()
    lock?.close()
    throw error
  }
}

async function openLedger(database: DatabaseSync, readOnly: boolean): Promise<SqlLedger> {
  database.exec('pragma busy_timeout = 5000')
  if (!readOnly) database.exec('pragma journal_mode = wal; pragma synchronous = full')
  const db = new Kysely<LedgerSchema>({ dialect: new SqliteDialect({ database: kyselyDatabase(database) }) })
  if (readOnly) await checkVersion(db)
  else await db.transaction().execute((transaction) => migrate(transaction, 'sqlite'))
  return new SqlLedger(db)
}

interface Opened {
  readonly database: DatabaseSync
  readonly lock: DatabaseSync | undefined
  readonly ledger: SqlLedger
}

/**
 * One writer at a time: two meters would bill alike, but stop each other's Pods. A transaction that never ends on a
 * file beside the ledger is a lock that the kernel frees when the process dies, and that readers do not meet.
 */
function lockForWriting(file: string): DatabaseSync {
  const lock = new DatabaseSync(`${file}.lock`)
  try {
    lock.exec('pragma busy_timeout = 500; pragma locking_mode = exclusive; begin exclusive')
    return lock
  } catch (error) {
    lock.close()
    if (!busyCodes.has(sqliteResult(error))) throw error
    throw new SpillwayError(
      'LedgerUnavailable',
      `another Spillway writes this ledger (${errorMessage(error)})`,
    )
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

async function answer(ledger: SqlLedger, call: LedgerCall): Promise<unknown> {
  const method = ledger[call.method] as (...args: readonly unknown[]) => Promise<unknown>
  return await method.apply(ledger, [...call.args])
}

// SQLITE_BUSY and SQLITE_LOCKED.
const busyCodes = new Set([5, 6])

// SQLITE_CORRUPT and SQLITE_NOTADB: trying again does not help.
const corruptCodes = new Set([11, 26])

// SQLITE_FULL, and SQLITE_IOERR, which is what a full disk gives to the index of the write-ahead log.
const diskCodes = new Set([13, 10])

function failure(id: number, error: unknown): WorkerAnswer {
  const message = errorMessage(error)
  if (error instanceof SpillwayError) return { id, ok: false, code: error.code, message }
  const result = sqliteResult(error)
  const code = corruptCodes.has(result) ? 'LedgerCorrupt' : 'LedgerUnavailable'
  return { id, ok: false, code, message, ...(diskCodes.has(result) && { reason: diskFailure }) }
}

/** SQLite's primary result code; 0 of another error. */
function sqliteResult(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
}

async function serve(): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('sqlite-worker.ts runs as a worker thread only')
  const send = (message: WorkerAnswer): void => port.postMessage(message)
  let opened: Opened
  try {
    opened = await open(workerData as SqliteWorkerData)
  } catch (error) {
    send(failure(0, error))
    return
  }
  send({ id: 0, ok: true, value: undefined })
  let last = Promise.resolve()
  port.on('message', ({ id, call }: WorkerRequest) => {
    // One after the other: there is one connection, and transactions must not mingle.
    last = last.then(async () => {
      if (!call) {
        opened.database.close()
        opened.lock?.close()
        send({ id, ok: true, value: undefined })
        port.close()
        return
      }
      try {
        send({ id, ok: true, value: await answer(opened.ledger, call) })
      } catch (error) {
        send(failure(id, error))
      }
    })
  })
}

await serve()
