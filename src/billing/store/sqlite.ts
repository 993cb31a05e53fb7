import type { SpillwayError } from '../../model/errors.ts'
import type { LedgerStore } from '../ledger.ts'
import { WorkerLedger } from './worker-ledger.ts'

export interface SqliteLedgerOptions {
  readonly file: string
  /** For reading a ledger, also beside the one that writes: changes nothing, and does not create the file. Default false. */
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
 * Opens the ledger file, making or migrating it as needed, and claims it for writing. Rejects with LedgerUnavailable
 * (another writes it, too) or Rejected; but an outage (isLedgerOutage) may be over later: then every call opens it anew,
 * and until one can all reject.
 */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<LedgerStore> {
  const { file, readOnly = false, clusterUid, onTakenOver, onRenewal, readerFromEvents } = options
  const ledger = new WorkerLedger({
    location: { kind: 'sqlite', file },
    name: file,
    readOnly,
    clusterUid,
    environment: {},
    onTakenOver,
    readerFromEvents,
    onRenewal,
  })
  await ledger.open()
  return ledger
}
