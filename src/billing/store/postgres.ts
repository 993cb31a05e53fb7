import type { SpillwayError } from '../../model/errors.ts'
import type { LedgerStore } from '../ledger.ts'
import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { WorkerLedger } from './worker-ledger.ts'

export interface PostgresLedgerOptions {
  /** `postgresql://user@host:port/database?schema=NAME`, without password; all of it may come from PG* variables. */
  readonly url: string
  /** File that holds the password; else PGPASSWORD, PGPASSFILE. */
  readonly passwordFile?: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** For reading a ledger, also beside the one that writes: changes nothing. Default false. */
  readonly readOnly?: boolean
  /** The cluster that is metered: the ledger of another one is refused. Default: whichever it belongs to. */
  readonly clusterUid?: string
  /** Told once, when another writer has taken over. */
  readonly onTakenOver?: (error: SpillwayError) => void
  /** From how many events on what may take long is read beside the writer. For tests and benchmarks. */
  readonly readerFromEvents?: number
  /** Told every few seconds whether the claim, which is written as events are, could be written. */
  readonly onRenewal?: (failure: SpillwayError | undefined) => void
}

/**
 * Opens the ledger in a schema of a PostgreSQL database, making or migrating it as needed, and claims it for writing.
 * Rejects with Usage (the URL), LedgerUnavailable (not reached, or another writes it) or Rejected; but a disk that is
 * full now may not be later, as with SQLite. Connections that are lost are made again by the next call.
 */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<LedgerStore> {
  const { url, passwordFile, environment, readOnly = false, clusterUid, onTakenOver } = options
  const { onRenewal, readerFromEvents } = options
  const { schema } = parsePostgresUrl(url)
  const ledger = new WorkerLedger({
    location: { kind: 'postgres', url, passwordFile },
    name: `PostgreSQL ledger "${schema}"`,
    readOnly,
    clusterUid,
    environment,
    onTakenOver,
    readerFromEvents,
    onRenewal,
  })
  await ledger.open()
  return ledger
}
