import { shippedPriceBooks } from './shipped-price-books.ts'
import { SpillwayError } from '../model/errors.ts'
import type { PriceBook } from '../model/price-book.ts'

/** The books that pools may name, by id. ConfigInvalid: one of the configuration's has the id of a shipped one. */
export function knownPriceBooks(own: readonly PriceBook[]): ReadonlyMap<string, PriceBook> {
  const books = new Map(shippedPriceBooks.map((book) => [book.id, book]))
  for (const book of own) {
    if (books.has(book.id)) {
      throw new SpillwayError(
        'ConfigInvalid',
        `priceBooks: id "${book.id}" is taken by a book that comes with Spillway; give yours another`,
      )
    }
    books.set(book.id, book)
  }
  return books
}
