import { SpillwayError } from '../../model/errors.ts'
import type { LedgerStore } from '../ledger.ts'
import { genesisHash } from '../ledger-json.ts'

const pageSize = 1000

/**
 * Appends the whole log of one ledger to an empty one. Bodies, numbers and hashes follow from the events and their
 * order, so both end with the same hash, and that is checked: LedgerCorrupt. Events that come while it runs are taken
 * along or not; what is copied is a beginning of the log in any case.
 */
export async function copyLog(from: LedgerStore, to: LedgerStore, signal: AbortSignal): Promise<void> {
  await to.keepPriceBooks(await from.priceBooks(signal), signal)
  let head = { seq: 0, hash: genesisHash }
  for (;;) {
    const page = await from.events({ afterSeq: head.seq, limit: pageSize }, signal)
    if (page.length > 0)
      await to.append(
        page.map(({ event }) => event),
        signal,
      )
    head = page.at(-1) ?? head
    if (page.length < pageSize) break
  }
  const [last] = await to.events({ afterSeq: head.seq - 1, limit: 2 }, signal)
  if ((last?.hash ?? genesisHash) !== head.hash) {
    throw new SpillwayError(
      'LedgerCorrupt',
      `the copy of ${head.seq} events ends with another hash than the ledger`,
    )
  }
}
