import type { PriceBook } from '../../model/price-book.ts'

/**
 * For demonstrations and tests: what a Pod asks for is what it is billed, 1:1, and GPUs have a price. The figures are
 * round ones made up for this book; they are nobody's prices.
 */
export const flatDemo: PriceBook = {
  id: 'flat-demo',
  source: 'made up for demonstrations',
  retrievedAt: '2026-01-01',
  notes: ['Round figures made up for demonstrations: nobody charges these.'],
  currency: 'USD',
  prices: [
    { sku: 'demo-core', unit: 'Core-Hours', price: '0.04' },
    { sku: 'demo-memory', unit: 'GiB-Hours', price: '0.005' },
    { sku: 'demo-gpu', unit: 'GPU-Hours', price: '2' },
  ],
  minimumSeconds: 0,
  secondRounding: 'none',
  memoryOverheadMiB: 0n,
  lineRounding: { scale: 9, mode: 'half_even' },
  specTable: { kind: 'exact', defaults: { cpuMillis: 250n, memoryMiB: 512n } },
}
