import type { LedgerStore } from '../../src/billing/ledger.ts'
import { projectPod } from '../../src/billing/projection.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { TotalsSum } from '../../src/billing/usage-totals.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { UsageEvent } from '../../src/model/usage.ts'

/** The real projection of some events, without a disk: for properties that want many ledgers. Writes nothing. */
export function readOnlyLedger(
  events: readonly UsageEvent[],
  books: readonly PriceBook[] = shippedPriceBooks,
): LedgerStore {
  const histories = [...Map.groupBy(events, ({ podUid }) => podUid)].map(([uid, own]) => projectPod(uid, own))
  const intervals = histories
    .flatMap((history) => history.intervals)
    .sort((a, b) => a.startMs - b.startMs || (a.podUid < b.podUid ? -1 : 1))
  const refuse = (): Promise<never> => Promise.reject(new Error('this ledger is read only'))
  return {
    append: refuse,
    keepPriceBooks: refuse,
    events: refuse,
    history: (podUid) => Promise.resolve(projectPod(podUid, events)),
    intervals: ({ fromMs, toMs }) =>
      Promise.resolve(intervals.filter(({ startMs, endMs = Infinity }) => startMs < toMs && endMs >= fromMs)),
    openIntervals: () => Promise.resolve(intervals.filter(({ endMs }) => endMs === undefined)),
    adjustments: ({ fromMs, toMs }) =>
      Promise.resolve(
        histories
          .flatMap(({ adjustments }) => adjustments)
          .filter(({ atMs }) => fromMs <= atMs && atMs < toMs),
      ),
    totals: (query) => {
      const sum = new TotalsSum(query)
      const byId = new Map(books.map((book) => [book.id, book]))
      for (const history of histories) {
        sum.addPod(
          history.intervals.map((account) => ({ account, kept: false })),
          byId,
        )
      }
      return Promise.resolve(sum.totals())
    },
    keptTotals: refuse,
    head: refuse,
    seals: () => Promise.resolve([]),
    seal: refuse,
    pods: refuse,
    openQuestions: refuse,
    rebuild: refuse,
    priceBooks: () => Promise.resolve(books),
    close: () => Promise.resolve(),
  }
}
