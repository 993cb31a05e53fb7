import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeJson, encodeJson } from '../../src/billing/ledger-json.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'

/** As it was written first; hashes of ledgers that exist are made over what this gives. */
function plainly(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') return String(part)
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

const aValue = fc.anything({
  withBigInt: true,
  withObjectString: true,
  values: [
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
  ],
})

describe('the text that is hashed', () => {
  it('is JSON with sorted keys, whatever is in it', () => {
    fc.assert(
      fc.property(aValue, (value) => {
        fc.pre(value !== undefined)
        expect(encodeJson(value)).toBe(plainly(value))
      }),
      { numRuns: 500 },
    )
  })

  it('gives price books back with every amount', () => {
    for (const book of shippedPriceBooks) expect(decodeJson(encodeJson(book))).toEqual(book)
  })
})
