import { hasCode } from '../model/errors.ts'
import type { LedgerStore } from './ledger.ts'
import { checkLink, type LedgerProblem } from './verify.ts'

/** What was found of the events that were written since a check. */
export interface NewEventsReport {
  /** Of the log, up to which it was read. */
  readonly events: number
  readonly headHash: string
  readonly problems: readonly LedgerProblem[]
}

const eventsPerPage = 1000

/** Whether the chain goes on from an event that was checked before: cheap, however long the log is. */
export async function checkNewEvents(
  ledger: Pick<LedgerStore, 'events'>,
  after: { readonly seq: number; readonly hash: string },
  signal: AbortSignal,
): Promise<NewEventsReport> {
  const problems: LedgerProblem[] = []
  let head = after
  for (;;) {
    const page = await ledger.events({ afterSeq: head.seq, limit: eventsPerPage }, signal)
    for (const stored of page) {
      problems.push(...checkLink(stored, head))
      head = { seq: stored.seq, hash: stored.hash }
    }
    if (page.length < eventsPerPage) return { events: head.seq, headHash: head.hash, problems }
  }
}

/** What was written and is not there any more: cut off, or another ledger lies in its place. */
export async function checkStillThere(
  ledger: Pick<LedgerStore, 'events'>,
  { seq, hash }: { readonly seq: number; readonly hash: string },
  signal: AbortSignal,
): Promise<LedgerProblem[]> {
  if (seq === 0) return []
  const [found] = await ledger.events({ afterSeq: seq - 1, limit: 1 }, signal)
  if (found?.seq === seq && found.hash === hash) return []
  const message = found
    ? `event ${found.seq} is another one than was written`
    : `event ${seq} was written, and is not in the log any more: it was cut off, or another ledger took its place`
  return [{ claim: 'what was written is still there', message }]
}

/** The first event that cannot be read, by its number; undefined: all can, or nobody can say. */
export async function firstUnreadable(
  ledger: Pick<LedgerStore, 'events'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  let limit = eventsPerPage
  for (let afterSeq = 0; ;) {
    try {
      const page = await ledger.events({ afterSeq, limit }, signal)
      if (page.length === 0) return undefined
      afterSeq = page.at(-1)?.seq ?? afterSeq
    } catch (error) {
      if (!hasCode(error, 'LedgerCorrupt')) return undefined
      if (limit === 1) return afterSeq + 1
      limit = 1
    }
  }
}
