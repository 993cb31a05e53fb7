import { existsSync } from 'node:fs'
import { knownPriceBooks } from '../billing/known-price-books.ts'
import { readPriceBookFile } from '../config/price-book-files.ts'
import { SpillwayError } from '../model/errors.ts'
import type { PriceBook } from '../model/price-book.ts'
import type { CliContext } from './context.ts'
import { configOf, type GlobalOptions } from './global-options.ts'

/** Those that come with Spillway, and those of the configuration where one is named. */
export function booksKnownTo(options: GlobalOptions, context: CliContext): ReadonlyMap<string, PriceBook> {
  const isConfigured = options.config ?? context.environment['SPILLWAY_CONFIG']
  return knownPriceBooks(isConfigured ? configOf(options, context).priceBooks : [])
}

/** Of that id, or in that file. Usage: there is neither. ConfigInvalid: the file is no price book. */
export function bookNamed(name: string, known: ReadonlyMap<string, PriceBook>): PriceBook {
  const book = known.get(name)
  if (book) return book
  if (!existsSync(name)) {
    throw new SpillwayError(
      'Usage',
      `price book: found "${name}"; allowed: ${[...known.keys()].join(', ')}, or a file`,
    )
  }
  const read = readPriceBookFile(name)
  if (read.book) return read.book
  throw new SpillwayError('ConfigInvalid', `${name}:\n${read.problems.map((one) => `  - ${one}`).join('\n')}`)
}
