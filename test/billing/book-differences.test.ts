import { describe, expect, it } from 'vitest'
import { bookDifferences } from '../../src/billing/book-differences.ts'
import { decodeJson, encodeJson } from '../../src/billing/ledger-json.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import type { PriceBook } from '../../src/model/price-book.ts'

describe('what a book differs in from the one of its id that was billed by', () => {
  it('is nothing for a book that a ledger has kept', () => {
    for (const book of shippedPriceBooks) {
      expect(bookDifferences(decodeJson(encodeJson(book)) as PriceBook, book)).toEqual([])
    }
  })

  it('is the field, what was there and what is', () => {
    const [core, ...others] = flatDemo.prices
    const dearer = { ...flatDemo, prices: [{ ...core!, price: '0.05' }, ...others], validTo: '2027-01-01' }
    expect(bookDifferences(flatDemo, dearer)).toEqual([
      'prices[0].price: "0.04", now "0.05"',
      'validTo: nothing, now "2027-01-01"',
    ])
  })

  it('is not what its notes say', () => {
    expect(bookDifferences(flatDemo, { ...flatDemo, notes: [] })).toEqual([])
  })

  it('is told by its first few fields when nearly all of it differs', () => {
    const found = bookDifferences(tencentEksIntl, { ...flatDemo, id: tencentEksIntl.id })
    expect(found).toHaveLength(6)
    expect(found.at(-1)).toMatch(/^and \d+ more$/)
  })
})
