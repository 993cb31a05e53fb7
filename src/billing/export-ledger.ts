import type { LedgerStore, StoredEvent } from './ledger.ts'
import { encodeJson, genesisHash } from './ledger-json.ts'
import { encodeSeal, type Seal } from './seal.ts'

/** Counted up when a reader of before would misunderstand what is written. New types of lines do not count it up. */
export const exportFormat = 'spillway-ledger-export/1'

const pageSize = 1000

/**
 * The whole log with its hashes, the seals where they stand in it, and the price books, as lines of JSON;
 * docs/reference/ledger-export.md is for those who read them. The same ledger gives the same bytes, and a longer one begins
 * with the events and seals of the shorter. A page at a time: however long the log is, the memory that it takes stays the same.
 */
export async function* exportLedger(ledger: LedgerStore, signal: AbortSignal): AsyncGenerator<string> {
  yield line({ type: 'ledger', format: exportFormat })
  let head = { seq: 0, hash: genesisHash }
  const told: Seal[] = []
  const sealsBefore = (seals: readonly Seal[], seq: number): string => {
    const due = seals.slice(told.length).filter((seal) => seal.head.seq < seq)
    told.push(...due)
    return due.map(sealLine).join('')
  }
  for (;;) {
    const page = await ledger.events({ afterSeq: head.seq, limit: pageSize }, signal)
    // After the events: a seal stands behind the last event of its time, so none before one of these can be made any more.
    const seals = await ledger.seals(signal)
    head = page.at(-1) ?? head
    if (page.length > 0)
      yield page.map((stored) => sealsBefore(seals, stored.seq) + eventLine(stored)).join('')
    if (page.length === pageSize) continue
    const last = sealsBefore(seals, head.seq + 1)
    if (last !== '') yield last
    break
  }
  // After the events: a book is kept before the first event that names it, so none that is named can be missing.
  for (const book of await ledger.priceBooks(signal))
    yield `{"book":${encodeJson(book)},"type":"priceBook"}\n`
  // Without it, a file that was cut off at the end of a line would look whole.
  const sealHash = told.at(-1)?.hash ?? genesisHash
  yield line({ type: 'end', events: head.seq, headHash: head.hash, seals: told.length, sealHash })
}

/** `body` is text within the text: it is hashed as it stands, and a JSON that is read and written again may differ. */
function eventLine({ seq, event, body, prevHash, hash }: StoredEvent): string {
  const { id, clusterUid, podUid, incarnation, atMs, observedMs, source, fact } = event
  const { kind } = fact
  const named = { type: 'event', seq, id, clusterUid, podUid, incarnation, kind, atMs, observedMs, source }
  return line({ ...named, body, prevHash, hash })
}

function sealLine({ prevHash, hash, ...seal }: Seal): string {
  const { number, period, head } = seal
  return line({ type: 'seal', number, period, head, body: encodeSeal(seal), prevHash, hash })
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`
}
