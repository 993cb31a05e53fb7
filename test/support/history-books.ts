import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { fakeEpochMs } from './fake-clock.ts'

function at(ms: number): string {
  return new Date(fakeEpochMs + 3_600_000 + ms).toISOString()
}

/** Prices that begin and end around the time at which the histories play. */
const changing: PriceBook = {
  ...flatDemo,
  id: 'changing',
  prices: [
    { sku: 'core', unit: 'Core-Hours', price: '0.0437', validTo: at(-123_456) },
    { sku: 'core', unit: 'Core-Hours', price: '0.05', validFrom: at(-123_456), validTo: at(777_777) },
    { sku: 'dear-core', unit: 'Core-Seconds', price: '0.000021', validFrom: at(900_001) },
    { sku: 'memory', unit: 'GiB-Seconds', price: '0.000002073', validTo: at(0) },
    { sku: 'memory', unit: 'GiB-Hours', price: '0.0071', validFrom: at(0) },
    { sku: 'gpu', unit: 'GPU-Seconds', price: '0.000555555' },
  ],
}

/** A minimum, started seconds whole, and the other way to round. */
const coarse: PriceBook = {
  ...flatDemo,
  id: 'coarse',
  minimumSeconds: 60,
  secondRounding: 'up',
  lineRounding: { scale: 5, mode: 'half_up', dropBelow: '0.00002' },
}

/** What the Pods of generated histories are billed by. */
export const historyBooks = [flatDemo, changing, coarse]

export function bookOf({ book: id }: { readonly book: string }): PriceBook {
  const book = historyBooks.find((candidate) => candidate.id === id)
  if (!book) throw new Error(`no price book "${id}" in generated histories`)
  return book
}
