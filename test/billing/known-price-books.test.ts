import { expect, it } from 'vitest'
import { knownPriceBooks } from '../../src/billing/known-price-books.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'

it('are those that come with Spillway, and the configuration’s', () => {
  const ours = { ...flatDemo, id: 'ours' }
  const known = knownPriceBooks([ours])
  expect(known.get('ours')).toBe(ours)
  expect(known.get('flat-demo')).toBe(flatDemo)
})

it('cannot take the place of one that comes with Spillway', () => {
  expect(() => knownPriceBooks([{ ...flatDemo, currency: 'EUR' }])).toThrow(
    'priceBooks: id "flat-demo" is taken by a book that comes with Spillway',
  )
})
