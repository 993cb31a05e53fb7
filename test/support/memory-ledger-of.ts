import type { LedgerStore } from '../../src/billing/ledger.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import type { UsageEvent } from '../../src/model/usage.ts'
import { openMemoryLedger } from './memory-ledger.ts'

/** One that has these events, and bills by these books. */
export async function memoryLedgerOf(
  events: readonly UsageEvent[],
  books: readonly PriceBook[] = shippedPriceBooks,
): Promise<LedgerStore> {
  const { signal } = new AbortController()
  const ledger = await openMemoryLedger()
  await ledger.keepPriceBooks(books, signal)
  await ledger.append(events, signal)
  return ledger
}
