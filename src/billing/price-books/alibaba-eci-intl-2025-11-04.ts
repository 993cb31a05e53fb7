import type { PriceBook, SpecRow } from '../../model/price-book.ts'

function row(cores: number, ...gib: readonly number[]): SpecRow {
  return { cpuMillis: BigInt(cores * 1000), memoryMiB: gib.map((size) => BigInt(size * 1024)) }
}

/**
 * Alibaba Cloud's elastic container instances, international site. An example of real prices, not an offer: look up the
 * current ones before money depends on it.
 */
export const alibabaEciIntl: PriceBook = {
  id: 'alibaba-eci-intl-2025-11-04',
  source:
    'Prices: Alibaba Cloud, ECI, Virtual node billing, of 2025-11-04. Sizes: its page of 2026-09-21 and ECI limits. Rules: alibabacloud.com/help/doc-detail/89142',
  retrievedAt: '2025-11-04',
  notes: [
    'Not current: verify before use.',
    'Sizes of all regions. Some regions have finer ones, in tables of their own that were not read: the page’s example of 7 vCPU and 13 GiB becoming 8 and 14 is not in this list, which has 8 and 16.',
    'Of 32 vCPU the list states the range (32–256 GiB) only: the sizes between are doubled as in every other row, which is ours.',
    'The sum of limits counts, or of requests where there is no limit; init containers as the scheduler counts them, which the page leaves open.',
    'What an instance costs in a UTC hour is rounded half up to whole cents where it is less than a cent: under 0.005 is 0. That rule was seen only on another’s copy of the Chinese page, in CNY, and is held to here in USD: verify. From a cent on, amounts are rounded to nano-units per line, which is ours.',
    'Seconds are billed, without a word on how parts of one are: milliseconds are billed as they are, which is ours.',
    'Spot is 30 to 90 % off by a market price: there is none to publish, so this book sells on demand only. GPUs are priced by server type: unpriced here.',
    'A virtual node of theirs itself costs what 2 vCPU and 8 GiB cost (0.00002308 a second) on a cluster of one’s own. Spillway’s nodes cost nothing.',
  ],
  currency: 'USD',
  prices: [
    { sku: 'eci-core', unit: 'Core-Seconds', price: '0.0000077' },
    { sku: 'eci-memory', unit: 'GiB-Seconds', price: '0.00000096' },
  ],
  minimumSeconds: 0,
  secondRounding: 'none',
  memoryOverheadMiB: 0n,
  lineRounding: { scale: 9, mode: 'half_even' },
  hourRounding: { below: '0.01', scale: 2, mode: 'half_up' },
  specTable: {
    kind: 'stepped',
    demand: 'limits-or-requests',
    defaults: { cpuMillis: 2000n, memoryMiB: 4096n },
    rows: [
      row(0.25, 0.5, 1),
      row(0.5, 1, 2),
      row(1, 2, 4, 8),
      row(2, 1, 2, 4, 8, 16),
      row(4, 2, 4, 8, 16, 32),
      row(8, 4, 8, 16, 32, 64),
      row(12, 12, 24, 48, 96),
      row(16, 16, 32, 64, 128),
      row(24, 24, 48, 96, 192),
      row(32, 32, 64, 128, 256),
      row(52, 96, 192, 384),
      row(64, 128, 256, 512),
    ],
    gpuRows: [],
  },
}
