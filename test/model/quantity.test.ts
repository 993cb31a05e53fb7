import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatCpu,
  parseBytes,
  parseCpuMillis,
  parseQuantity,
} from '../../src/model/quantity.ts'

describe('parseQuantity', () => {
  it.each([
    ['0', 0, 0n],
    ['1', 0, 1n],
    ['1', 3, 1000n],
    ['250m', 3, 250n],
    ['0.1', 3, 100n],
    ['.5', 3, 500n],
    ['5.', 0, 5n],
    ['+5', 0, 5n],
    ['-250m', 3, -250n],
    ['1.5', 3, 1500n],
    ['1.5Gi', 0, 1_610_612_736n],
    ['0.5Ki', 0, 512n],
    ['128974848', 0, 128_974_848n],
    ['129e6', 0, 129_000_000n],
    ['129M', 0, 129_000_000n],
    ['123Mi', 0, 128_974_848n],
    ['1E', 0, 10n ** 18n],
    ['1E2', 0, 100n],
    ['1e+2', 0, 100n],
    ['15e-1', 3, 1500n],
    ['1e003', 0, 1000n],
    ['1Ei', 0, 1n << 60n],
    ['100k', 0, 100_000n],
    ['1n', 9, 1n],
    ['1u', 9, 1000n],
  ])('reads %s at scale %i as %s', (text, scale, value) => {
    expect(parseQuantity(text, scale)).toBe(value)
  })

  it.each([
    ['100m', 0, 1n],
    ['1n', 3, 1n],
    ['1001u', 3, 2n],
    ['1.0001', 3, 1001n],
    ['0.9Ki', 0, 922n],
    ['-100m', 0, -1n],
    ['0.0', 0, 0n],
  ])('rounds what is finer away from zero: %s at scale %i is %s', (text, scale, value) => {
    expect(parseQuantity(text, scale)).toBe(value)
  })

  it.each([
    '',
    '.',
    '-',
    '1 ',
    ' 1',
    '1K',
    '1kI',
    '1ki',
    '1mi',
    '1e',
    '1e1.5',
    '1.2.3',
    '0x10',
    'Gi',
    '1,5',
    '--1',
    'NaN',
  ])('refuses "%s", naming it', (text) => {
    expect(() => parseQuantity(text, 0)).toThrow(`"${text}" is not a Kubernetes quantity`)
  })

  it('refuses an exponent that would make a number of millions of digits', () => {
    expect(() => parseQuantity('1e999999999', 0)).toThrow('is not a Kubernetes quantity')
  })

  const digits = fc.tuple(fc.nat(), fc.nat(999)).map(([whole, part]) => ({
    text: `${whole}.${String(part).padStart(3, '0')}`,
    thousandths: BigInt(whole) * 1000n + BigInt(part),
  }))

  it('is the exact value, rounded up, for every suffix', () => {
    const factors: readonly [string, bigint, bigint][] = [
      ['n', 1n, 10n ** 9n], ['u', 1n, 10n ** 6n], ['m', 1n, 1000n], ['', 1n, 1n],
      ['k', 10n ** 3n, 1n], ['M', 10n ** 6n, 1n], ['G', 10n ** 9n, 1n], ['T', 10n ** 12n, 1n],
      ['P', 10n ** 15n, 1n], ['E', 10n ** 18n, 1n],
      ['Ki', 2n ** 10n, 1n], ['Mi', 2n ** 20n, 1n], ['Gi', 2n ** 30n, 1n], ['Ti', 2n ** 40n, 1n],
      ['Pi', 2n ** 50n, 1n], ['Ei', 2n ** 60n, 1n],
    ] // prettier-ignore
    fc.assert(
      fc.property(
        digits,
        fc.constantFrom(...factors),
        fc.integer({ min: 0, max: 9 }),
        (number, factor, scale) => {
          const [suffix, times, over] = factor
          const numerator = number.thousandths * times * 10n ** BigInt(scale)
          const denominator = 1000n * over
          const value = parseQuantity(number.text + suffix, scale)
          expect(value * denominator >= numerator).toBe(true)
          expect((value - 1n) * denominator < numerator).toBe(true)
        },
      ),
    )
  })

  it('is as large below zero as above', () => {
    fc.assert(
      fc.property(digits, fc.constantFrom('', 'm', 'u', 'Ki', 'e-2'), ({ text }, suffix) => {
        expect(parseQuantity(`-${text}${suffix}`, 0)).toBe(-parseQuantity(`${text}${suffix}`, 0))
      }),
    )
  })

  it('keeps the order of amounts', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 30n }),
        fc.bigInt({ min: 0n, max: 10n ** 30n }),
        (a, b) => {
          const [low, high] = a < b ? [a, b] : [b, a]
          expect(parseQuantity(`${low}n`, 3) <= parseQuantity(`${high}n`, 3)).toBe(true)
        },
      ),
    )
  })
})

describe('what is written is read back', () => {
  const amount = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n })

  it('for cpu', () => {
    fc.assert(
      fc.property(amount, (millis) => {
        expect(parseCpuMillis(formatCpu(millis))).toBe(millis)
      }),
    )
  })

  it('for bytes', () => {
    const binary = fc
      .tuple(amount, fc.integer({ min: 0, max: 6 }))
      .map(([n, power]) => n << BigInt(power * 10))
    fc.assert(
      fc.property(fc.oneof(amount, binary), (bytes) => {
        expect(parseBytes(formatBytes(bytes))).toBe(bytes)
      }),
    )
  })

  it.each([
    [0n, '0'],
    [1000n, '1000'],
    [1024n, '1Ki'],
    [1536n << 20n, '1536Mi'],
    [2n << 30n, '2Gi'],
    [1n << 70n, '1024Ei'],
  ])('%s bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it.each([
    [0n, '0'],
    [1n, '1m'],
    [250n, '250m'],
    [1500n, '1500m'],
    [2000n, '2'],
  ])('%s thousandths of a core are %s', (millis, text) => {
    expect(formatCpu(millis)).toBe(text)
  })
})
