import { describe, expect, it } from 'vitest'
import { compareBooks, usualSamples } from '../../src/billing/compare-books.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { container, podOf } from '../support/priced-pods.ts'

const at = { atMs: 0, samples: usualSamples }
const scaled = (factor: bigint): PriceBook => ({
  ...tencentEksIntl,
  id: 'scaled',
  prices: tencentEksIntl.prices.map((price) => ({
    ...price,
    price: `0.${String(BigInt(price.price.slice(2)) * factor).padStart(price.price.length - 2, '0')}`,
  })),
})

describe('what changes between two books', () => {
  it('is nothing between a book and itself', () => {
    for (const book of shippedPriceBooks) {
      const { rules, prices, cells, samples } = compareBooks(book, book, at)
      expect(rules).toEqual([])
      for (const { was, is } of [...prices, ...cells, ...samples]) expect(is).toEqual(was)
      for (const { changePercent } of [...prices, ...cells]) expect(changePercent).toBe('0')
    }
  })

  it('is a price of each kind, in percent of the one before', () => {
    const { prices } = compareBooks(tencentEksIntl, scaled(2n), at)
    expect(prices.map(({ what, changePercent }) => [what, changePercent])).toEqual([
      ['cpu', '+100'],
      ['memory', '+100'],
      ['cpu spot', '+100'],
      ['memory spot', '+100'],
      ['cpu AMD', '+100'],
      ['memory AMD', '+100'],
      ['cpu AMD spot', '+100'],
      ['memory AMD spot', '+100'],
    ])
    expect(prices[0]).toMatchObject({
      was: { sku: 'eks-intel-core', perHour: '0.0179136' },
      is: { sku: 'eks-intel-core', perHour: '0.0358272' },
    })
    expect(compareBooks(scaled(2n), tencentEksIntl, at).prices[0]?.changePercent).toBe('-50')
  })

  it('is every cell of both tables, also one that the other has not', () => {
    const { specTable } = tencentEksIntl
    if (specTable.kind !== 'stepped') throw new Error('the book has a table')
    const smaller = { ...tencentEksIntl, specTable: { ...specTable, rows: specTable.rows.slice(1) } }
    const { cells } = compareBooks(tencentEksIntl, smaller, at)
    expect(cells.filter(({ is }) => is === undefined).map(({ what }) => what)).toEqual([
      '0.25 cores, 512 MiB',
      '0.25 cores, 1 GiB',
      '0.25 cores, 2 GiB',
    ])
    expect(cells.find(({ what }) => what === '1 core, 2 GiB')).toMatchObject({ changePercent: '0' })
  })

  it('has no percent from one currency to another, nor from nothing', () => {
    const euros = { ...flatDemo, currency: 'EUR' }
    const { rules, prices, samples } = compareBooks(flatDemo, euros, at)
    expect(rules).toEqual([{ what: 'currency', was: 'USD', is: 'EUR' }])
    for (const { changePercent } of [...prices, ...samples]) expect(changePercent).toBeUndefined()
    const free = { ...flatDemo, prices: flatDemo.prices.map((price) => ({ ...price, price: '0' })) }
    expect(compareBooks(free, flatDemo, at).prices[0]?.changePercent).toBeUndefined()
    expect(compareBooks(flatDemo, free, at).prices[0]?.changePercent).toBe('-100')
  })

  it('is, for a Pod, its size and what that costs, or why it has none', () => {
    const pod = podOf([container({ cpu: '1', memory: '2Gi', 'nvidia.com/gpu': '1' })])
    const { samples } = compareBooks(flatDemo, tencentEksIntl, { atMs: 0, samples: [{ name: 'gpu', pod }] })
    expect(samples).toEqual([
      {
        pod: 'gpu',
        // 1 × 0.04 + 2 × 0.005 + 1 × 2, against 8 × 0.0179136 + 40 × 0.0074628 and a card without a price.
        was: { size: '1 core, 2 GiB, 1 × GPU', perHour: '2.05' },
        is: { size: '8 cores, 40 GiB, 1 × V100', perHour: '0.4418208' },
        changePercent: '-78.4',
      },
    ])
  })
})
