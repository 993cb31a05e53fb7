import { statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { DatabaseSync } from 'node:sqlite'

/**
 * For a thread that reads all the time beside the writer of its process. It changes nothing, yet is opened for writing:
 * else it could not shorten the log. A file that is gone is not made anew.
 */
export function openBesideWriter(file: string): DatabaseSync {
  const url = pathToFileURL(file)
  url.searchParams.set('mode', 'rw')
  const database = new DatabaseSync(url)
  // Shortening the log copies it into the file, which has to be as durable as what the writer does.
  database.exec('pragma query_only = on; pragma synchronous = full; pragma cache_size = -65536')
  return database
}

/** All that `work` reads is of one moment, whatever is written meanwhile. */
export async function readOneMoment<T>(database: DatabaseSync, work: () => Promise<T>): Promise<T> {
  database.exec('begin')
  try {
    return await work()
  } finally {
    // An error may have ended it already.
    if (database.isTransaction) database.exec('rollback')
  }
}

/** Sixteen times what it has while nothing reads. */
const longLogBytes = 64 * 1024 * 1024
/** So long the writer may have to wait, should another process be reading. */
const shortenMs = 100

/**
 * The write-ahead log of a ledger file. It can begin anew only while nothing reads: where one read follows the other it
 * would grow with all that is written. So whoever reads on and on looks after it between two reads.
 */
export class ReadLog {
  readonly #file: string
  readonly #database: Pick<DatabaseSync, 'exec'>
  readonly #longBytes: number
  #bound: number

  constructor(file: string, database: Pick<DatabaseSync, 'exec'>, longBytes = longLogBytes) {
    this.#file = `${file}-wal`
    this.#database = database
    this.#longBytes = longBytes
    this.#bound = longBytes
  }

  /** To be called with no transaction open. The bulk is copied while the writer goes on; it waits for what is left of it. */
  shorten(): void {
    if (this.#bytes() < this.#bound) return
    try {
      this.#database.exec('pragma wal_checkpoint(passive)')
      this.#database.exec(`pragma busy_timeout = ${shortenMs}`)
      this.#database.exec('pragma wal_checkpoint(truncate)')
    } catch {
      // A full or failing disk: the writer meets it, too, and says so. What was read is right all the same.
    } finally {
      this.#database.exec('pragma busy_timeout = 5000')
    }
    // Another process that reads keeps it long: not tried again at once.
    this.#bound = this.#bytes() + this.#longBytes
  }

  #bytes(): number {
    return statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0
  }
}
