import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { explainLine } from '../../../src/billing/bill-explanation.ts'
import { alibabaEciIntl as book } from '../../../src/billing/price-books/alibaba-eci-intl-2025-11-04.ts'
import { parseRational } from '../../../src/model/money.ts'
import { billedFor, container, linesFor, perSecond, podOf, sizeBy } from '../../support/priced-pods.ts'

const size = (cores: number, gib: number) => ({
  cpuMillis: BigInt(cores * 1000),
  memoryMiB: BigInt(gib * 1024),
  gpus: 0n,
})

describe('ECI’s sizes', () => {
  it.each([
    ['100m', '100Mi', '0.25 cores, 512 MiB'],
    ['1', '1Gi', '1 core, 2 GiB'],
    ['2', '1Gi', '2 cores, 1 GiB'],
    ['3', '3Gi', '4 cores, 4 GiB'],
    ['8', '65Gi', '12 cores, 96 GiB'],
    ['33', '1Gi', '52 cores, 96 GiB'],
    ['64', '512Gi', '64 cores, 512 GiB'],
  ])('%s vCPU and %s are %s', (cpu, memory, expected) => {
    expect(sizeBy(book, podOf([container({ cpu, memory })]))).toBe(expected)
  })

  it('are 2 vCPU and 4 GiB for a Pod that asks for nothing', () => {
    expect(sizeBy(book, podOf([container({})]))).toBe('2 cores, 4 GiB')
  })

  it('go by limits, and by requests of the containers that have none', () => {
    const limited = container({ cpu: '500m', memory: '1Gi' }, { cpu: '2', memory: '4Gi' })
    const open = container({ cpu: '1', memory: '2Gi' })
    expect(sizeBy(book, podOf([limited, open]))).toBe('4 cores, 8 GiB')
  })

  it('are not those of the page’s example, 8 and 14 for 7 and 13: no list of all regions has 14', () => {
    const found = sizeBy(book, podOf([container({ cpu: '7', memory: '13Gi' })]))
    expect(found).toBe('8 cores, 16 GiB')
    expect(book.notes.join(' ')).toContain('7 vCPU and 13 GiB becoming 8 and 14 is not in this list')
  })
})

describe('ECI’s prices', () => {
  it('are those of the page: a virtual node of 2 vCPU and 8 GiB is 0.00002308 a second, 0.083088 an hour', () => {
    expect(perSecond(book, size(2, 8))).toBe('0.00002308')
    expect(billedFor(book, size(2, 8), 3_600_000)).toBe('0.083088')
  })

  // 0.25 vCPU and 0.5 GiB are 0.000002405 a second: 0.005 is reached after 2079.002 s.
  it.each([
    [1, '0'],
    [2_079_002, '0'],
    [2_079_003, '0.01'],
    [3_600_000, '0.01'],
  ])('of a sandbox’s hour under a cent: %d ms of the smallest size are %s', (ranMs, amount) => {
    expect(billedFor(book, size(0.25, 0.5), ranMs)).toBe(amount)
  })

  it('of so little are explained as what they are: a part of an hour that was rounded', () => {
    const [core] = linesFor(book, size(0.25, 0.5), 60_000)
    expect(core && explainLine(core, book)).toMatchObject({
      formula:
        '0.25 cores × 60 s × 0.0000077 USD per core-second = 0.0001155; under 0.01, all lines of the hour are rounded together, half up at 2 places',
      amount: '0',
    })
  })

  it('of a cent and more stand as they are, and hour by hour', () => {
    // 0.00002308 × 434 = 0.01001672.
    expect(billedFor(book, size(2, 8), 434_000)).toBe('0.01001672')
    expect(billedFor(book, size(2, 8), 433_000)).toBe('0.01')
    // A full hour, and 100 s of the next: 0.002308 is nothing.
    expect(billedFor(book, size(2, 8), 3_700_000)).toBe('0.083088')
  })

  it('given out to the lines add up to the hour, and no line is less than nothing', () => {
    const sizes = fc.record({ cores: fc.integer({ min: 1, max: 64 }), gib: fc.integer({ min: 1, max: 512 }) })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 7_200_000 }), ({ cores, gib }, ranMs) => {
        const lines = linesFor(book, size(cores, gib), ranMs)
        for (const own of Map.groupBy(lines, ({ hourMs }) => hourMs).values()) {
          const sum = own.reduce((total, { nanos }) => total + nanos, 0n)
          // Independent of the code: exact costs as integers of 1e-18.
          const exact = own.reduce((total, line) => {
            const { num, den } = parseRational(line.exact)
            return total + (num * 10n ** 18n) / den
          }, 0n)
          const cent = 10n ** 16n
          if (exact < cent) expect(sum).toBe(exact * 2n >= cent ? 10_000_000n : 0n)
          else expect(Number(sum - exact / 10n ** 9n)).toBeLessThanOrEqual(2)
          expect(own.every(({ nanos }) => nanos >= 0n)).toBe(true)
        }
      }),
    )
  })
})
