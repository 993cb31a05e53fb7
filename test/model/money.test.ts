import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compare,
  formatMoney,
  formatNanos,
  formatRational,
  parseDecimal,
  parseRational,
  plus,
  rational,
  roundLine,
  roundRational,
  times,
} from '../../src/model/money.ts'

const anyRational = fc
  .tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.bigInt({ min: 1n, max: 10n ** 20n }))
  .map(([num, den]) => rational(num, den))

describe('rationals', () => {
  it('come in lowest terms with the sign above', () => {
    expect(rational(6n, -8n)).toEqual({ num: -3n, den: 4n })
    expect(rational(0n, 7n)).toEqual({ num: 0n, den: 1n })
    expect(() => rational(1n, 0n)).toThrow('denominator 0')
  })

  it('read a decimal exactly', () => {
    expect(parseDecimal('0.000004976')).toEqual(rational(4976n, 1_000_000_000n))
    expect(parseDecimal('-12.50')).toEqual(rational(-25n, 2n))
    for (const text of ['', '.5', '1.', '1e-3', '1,5', ' 1', '0x1', 'NaN']) {
      expect(() => parseDecimal(text)).toThrow(`"${text}" is not a decimal`)
    }
  })

  it('add and multiply as integers do over a common denominator', () => {
    fc.assert(
      fc.property(anyRational, anyRational, (a, b) => {
        const sum = plus(a, b)
        expect(sum.num * a.den * b.den).toBe((a.num * b.den + b.num * a.den) * sum.den)
        const product = times(a, b)
        expect(product.num * a.den * b.den).toBe(a.num * b.num * product.den)
        expect(compare(sum, a)).toBe(compare(b, rational(0n)))
      }),
    )
  })

  it('survive being written down', () => {
    fc.assert(
      fc.property(anyRational, (value) => {
        expect(parseRational(formatRational(value))).toEqual(value)
      }),
    )
  })
})

describe('rounding', () => {
  it.each([
    ['0.5', 0n, 1n],
    ['1.5', 2n, 2n],
    ['2.5', 2n, 3n],
    ['-0.5', 0n, -1n],
    ['-2.5', -2n, -3n],
    ['2.4999', 2n, 2n],
    ['2.5001', 3n, 3n],
  ])('%s is %d half even and %d half up', (text, even, up) => {
    expect(roundRational(parseDecimal(text), 0, 'half_even')).toBe(even)
    expect(roundRational(parseDecimal(text), 0, 'half_up')).toBe(up)
  })

  it('is never further off than half a unit', () => {
    fc.assert(
      fc.property(
        anyRational,
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom('half_even', 'half_up'),
        (value, scale, mode) => {
          const rounded = rational(roundRational(value, scale, mode), 10n ** BigInt(scale))
          const off = plus(value, times(rounded, rational(-1n)))
          const half = rational(1n, 2n * 10n ** BigInt(scale))
          expect(compare(times(off, off), times(half, half))).toBeLessThanOrEqual(0)
        },
      ),
    )
  })

  it('keeps lines in nano-units whatever the book’s scale, and drops what the book drops', () => {
    const value = parseDecimal('0.0149999999999')
    expect(roundLine(value, { scale: 9, mode: 'half_even' })).toBe(15_000_000n)
    expect(roundLine(value, { scale: 2, mode: 'half_up' })).toBe(10_000_000n)
    expect(roundLine(value, { scale: 2, mode: 'half_up', dropBelow: '0.015' })).toBe(0n)
    expect(roundLine(parseDecimal('0.015'), { scale: 2, mode: 'half_up', dropBelow: '0.015' })).toBe(
      20_000_000n,
    )
  })
})

describe('money for people', () => {
  it.each([
    [0n, '$0.00'],
    [12_345_000_000n, '$12.34'],
    [12_355_000_000n, '$12.36'],
    [1_000_000_000n, '$1.00'],
    [12_300_000n, '$0.0123'],
    [437_856_000n, '$0.4379'],
    [8_200n, '$0.0000082'],
    [1n, '$0.000000001'],
    [-12_300_000n, '-$0.0123'],
  ])('%d nano-units are %s', (nanos, text) => {
    expect(formatMoney(nanos, 'USD')).toBe(text)
  })

  it('names a currency that has no symbol', () => {
    expect(formatMoney(1_200_000_000n, 'CHF')).toBe('CHF 1.20')
  })

  it('is the shortest decimal in files', () => {
    expect([437_856_000n, 0n, 5_000_000_000n, -1n].map(formatNanos)).toEqual([
      '0.437856',
      '0',
      '5',
      '-0.000000001',
    ])
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), (nanos) => {
        expect(parseDecimal(formatNanos(nanos))).toEqual(rational(nanos, 10n ** 9n))
      }),
    )
  })
})
