import { describe, expect, it } from 'vitest'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { parseTimeMs } from '../../src/model/clock.ts'
import { parseDecimal, rational } from '../../src/model/money.ts'
import { priceAt, priceChangesMs, rateOf, type PriceBook } from '../../src/model/price-book.ts'

const turnMs = parseTimeMs('2026-02-01T12:30:00Z')
const dearer: PriceBook = {
  ...flatDemo,
  prices: [
    { sku: 'core', unit: 'Core-Hours', price: '1', validTo: '2026-02-01T12:30:00Z' },
    { sku: 'core', unit: 'Core-Hours', price: '2', validFrom: '2026-02-01T12:30:00Z' },
  ],
  validTo: '2027-01-01T00:00:00Z',
}

describe('a price book', () => {
  it('turns every unit into the exact price of a thousandth, for a millisecond', () => {
    const rate = (unit: Parameters<typeof rateOf>[0]['unit']): unknown =>
      rateOf({ sku: 'x', unit, price: '1' })
    expect(rate('Core-Seconds')).toEqual(rational(1n, 1_000_000n))
    expect(rate('Core-Hours')).toEqual(rational(1n, 3_600_000_000n))
    expect(rate('GiB-Seconds')).toEqual(rational(1n, 1_024_000n))
    expect(rate('GiB-Hours')).toEqual(rational(1n, 3_686_400_000n))
    expect(rate('GPU-Seconds')).toEqual(rational(1n, 1000n))
    expect(rate('GPU-Hours')).toEqual(rational(1n, 3_600_000n))
  })

  it('changes a price at an instant that belongs to the new one', () => {
    expect(priceAt(dearer, 'cpu', turnMs - 1)?.price).toBe('1')
    expect(priceAt(dearer, 'cpu', turnMs)?.price).toBe('2')
    expect(priceChangesMs(dearer)).toEqual([turnMs, parseTimeMs('2027-01-01T00:00:00Z')])
  })

  it('has no price outside its own validity, nor for what it does not list', () => {
    expect(priceAt(dearer, 'cpu', parseTimeMs('2027-01-01T00:00:00Z'))).toBeUndefined()
    expect(priceAt(dearer, 'gpu', turnMs)).toBeUndefined()
  })
})

describe('the books that are shipped', () => {
  it('have ids of their own, a source, a date, and prices that can be read', () => {
    expect(new Set(shippedPriceBooks.map(({ id }) => id)).size).toBe(shippedPriceBooks.length)
    for (const book of shippedPriceBooks) {
      expect(book.source).not.toBe('')
      expect(book.retrievedAt).toMatch(/^\d{4}-\d{2}-\d{2}$/)
      expect(book.lineRounding.scale).toBeLessThanOrEqual(9)
      for (const { price } of book.prices) expect(parseDecimal(price).num > 0n).toBe(true)
    }
  })

  it('list sizes in ascending order', () => {
    for (const { specTable } of shippedPriceBooks) {
      if (specTable.kind !== 'stepped') continue
      const lists = [
        specTable.rows.map(({ cpuMillis }) => cpuMillis),
        ...specTable.rows.map((row) => row.memoryMiB),
      ]
      for (const list of lists)
        expect(list.every((size, index) => index === 0 || size > list[index - 1]!)).toBe(true)
    }
  })
})
