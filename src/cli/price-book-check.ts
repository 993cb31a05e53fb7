import { bookDifferences } from '../billing/book-differences.ts'
import { shippedPriceBooks } from '../billing/shipped-price-books.ts'
import { readPriceBookFile } from '../config/price-book-files.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { CliContext } from './context.ts'
import { openLedgerFile } from './ledger-file.ts'

export interface BookCheck {
  readonly file: string
  /** Undefined: it is no price book. */
  readonly id: string | undefined
  readonly prices: number
  readonly sizes: number
  readonly problems: readonly string[]
}

/** What a configuration that names these files would be told, and what a ledger would say. */
export async function checkBookFiles(
  files: readonly string[],
  { ledger }: { readonly ledger?: string },
  context: Pick<CliContext, 'environment' | 'signal'>,
): Promise<readonly BookCheck[]> {
  const billedBy = ledger === undefined ? [] : await booksOfLedger(ledger, context)
  const seen = new Map<string, string>()
  return files.map((file) => {
    const { book, problems } = readPriceBookFile(file)
    if (!book) return { file, id: undefined, prices: 0, sizes: 0, problems }
    const { id } = book
    const twin = seen.get(id)
    seen.set(id, file)
    const more = [
      twin !== undefined && `id: "${id}" is taken already, by ${twin}`,
      shippedPriceBooks.some((shipped) => shipped.id === id) &&
        `id: "${id}" is taken by a book that comes with Spillway`,
      ...billedBy
        .filter((kept) => kept.id === id)
        .flatMap((kept) => bookDifferences(kept, book))
        .map((difference) => `${difference}: the ledger was billed by it; a changed book needs another id`),
    ]
    const told = more.filter((problem) => problem !== false)
    return { file, id, prices: book.prices.length, sizes: sizesIn(book), problems: told }
  })
}

export function sizesIn({ specTable }: PriceBook): number {
  if (specTable.kind === 'exact') return 0
  const { rows, otherCpuTypes = [], gpuRows } = specTable
  const all = [...rows, ...otherCpuTypes.flatMap((other) => other.rows)]
  return all.reduce((sum, { memoryMiB }) => sum + memoryMiB.length, gpuRows.length)
}

async function booksOfLedger(
  place: string,
  context: Pick<CliContext, 'environment' | 'signal'>,
): Promise<readonly PriceBook[]> {
  const ledger = await openLedgerFile(place, context)
  try {
    return await ledger.priceBooks(context.signal)
  } finally {
    await ledger.close()
  }
}
