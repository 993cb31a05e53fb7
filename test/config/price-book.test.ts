import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { readPriceBook, writePriceBook } from '../../src/config/price-book.ts'
import { chooseSpec, formatSpec } from '../../src/model/spec.ts'
import { container, podOf } from '../support/priced-pods.ts'

/** A whole book, with a change. */
function bookWith(changes: object = {}): object {
  const book = parse(`
    id: ours
    source: contract 4711
    retrievedAt: 2026-11-01
    currency: EUR
    prices:
      - { sku: core, unit: Core-Hours, price: '0.04' }
      - { sku: memory, unit: GiB-Hours, price: '0.005' }
      - { sku: core-spot, unit: Core-Hours, price: '0.01', purchase: spot }
      - { sku: core-arm, unit: Core-Hours, price: '0.03', cpuType: ARM }
      - { sku: core-arm-spot, unit: Core-Hours, price: '0.008', cpuType: ARM, purchase: spot }
      - { sku: t4, unit: GPU-Hours, price: '0.5', gpuModel: T4 }
    memoryOverhead: 256Mi
    specTable:
      kind: stepped
      demand: requests
      defaults: { cpu: 1, memory: 2Gi }
      cpuType: x86
      annotations: { cpu: a/cpu, memory: a/memory, cpuType: a/type }
      rows:
        - { cpu: 500m, memory: [512Mi, 1Gi] }
        - { cpu: 1, memory: { from: 1Gi, to: 4Gi } }
        - { cpu: 4, memory: { from: 8Gi, to: 32Gi, step: 4Gi } }
      otherCpuTypes:
        - { cpuType: ARM, rows: [{ cpu: 2, memory: [4Gi] }] }
      gpuRows:
        - { gpuModel: T4, gpus: 1, cpu: 8, memory: 32Gi }
  `) as Record<string, unknown>
  return { ...book, ...changes }
}

function tableWith(changes: object): object {
  const { specTable } = bookWith() as { specTable: object }
  return bookWith({ specTable: { ...specTable, ...changes } })
}

function pricesWith(...more: object[]): object {
  const { prices } = bookWith() as { prices: object[] }
  return bookWith({ prices: [...prices, ...more] })
}

function problemsOf(value: object): readonly string[] {
  return readPriceBook(value).problems
}

describe('a price book of one’s own', () => {
  it('is read with its defaults, and sizes Pods', () => {
    const { book, problems } = readPriceBook(bookWith())
    expect(problems).toEqual([])
    expect(book).toMatchObject({
      minimumSeconds: 0,
      secondRounding: 'none',
      memoryOverheadMiB: 256n,
      lineRounding: { scale: 9, mode: 'half_even' },
      notes: [],
    })
    const size = (requests: Record<string, string>, annotations = {}): string | undefined =>
      book && formatSpec(chooseSpec(podOf([container(requests)], { annotations }), book).spec)
    expect(size({ cpu: '1', memory: '4Gi' })).toBe('4 cores, 8 GiB')
    expect(size({ cpu: '3', memory: '9Gi' }, { 'spillway.dev/purchase': 'spot' })).toBe(
      '4 cores, 12 GiB, spot',
    )
    expect(size({ cpu: '1', memory: '1Gi' }, { 'a/type': 'arm' })).toBe('2 cores (ARM), 4 GiB')
  })

  it('comes back the same from the form in which it is written', () => {
    for (const book of [...shippedPriceBooks, readPriceBook(bookWith()).book]) {
      const written = JSON.parse(JSON.stringify(book && writePriceBook(book))) as object
      expect(readPriceBook(written)).toEqual({ book, problems: [] })
    }
  })

  it.each([
    ['nothing in it', {}, 'id: missing'],
    ['an unknown field', bookWith({ curency: 'EUR' }), 'curency: unknown field; allowed here: id, source'],
    [
      'a price that is no text',
      pricesWith({ sku: 'x', unit: 'GPU-Hours', price: 0.04 }),
      'prices[6].price: found 0.04; it must be string',
    ],
    [
      'a price with an exponent',
      pricesWith({ sku: 'x', unit: 'GPU-Hours', price: '4e-6' }),
      'prices[6].price: found "4e-6"',
    ],
    [
      'a negative price',
      pricesWith({ sku: 'x', unit: 'GPU-Hours', price: '-1' }),
      'prices[6].price: found "-1"',
    ],
    [
      'an unknown unit',
      pricesWith({ sku: 'x', unit: 'Core-Days', price: '1' }),
      'prices[6].unit: found "Core-Days"; allowed: "Core-Seconds", "Core-Hours"',
    ],
    ['a currency of its own', bookWith({ currency: 'Euro' }), 'currency: found "Euro"'],
    ['a day that is none', bookWith({ retrievedAt: '2026-13-01' }), 'retrievedAt: found "2026-13-01"'],
    ['a time that is none', bookWith({ validFrom: 'soon' }), 'validFrom: '],
    [
      'an end before its begin',
      bookWith({ validFrom: '2026-02-01T00:00:00Z', validTo: '2026-01-01T00:00:00Z' }),
      'validTo: found 2026-01-01T00:00:00Z; allowed: after validFrom, 2026-02-01T00:00:00Z',
    ],
    [
      'no known kind of table',
      bookWith({ specTable: { kind: 'free' } }),
      'specTable.kind: found "free"; allowed: "exact", "stepped"',
    ],
    ['a table without rows', tableWith({ rows: undefined }), 'specTable.rows: found nothing'],
    [
      'rows out of order',
      tableWith({
        rows: [
          { cpu: 2, memory: ['2Gi'] },
          { cpu: 1, memory: ['2Gi'] },
        ],
      }),
      'specTable.rows[1].cpu: found 1 core; allowed: more than 2 cores before it',
    ],
    [
      'sizes out of order',
      tableWith({ rows: [{ cpu: 1, memory: ['2Gi', '1Gi'] }] }),
      'specTable.rows[0].memory[1]: found 1 GiB; allowed: more than 2 GiB before it',
    ],
    [
      'a size of nothing',
      tableWith({ rows: [{ cpu: 1, memory: ['0', '2Gi'] }] }),
      'specTable.rows[0].memory[0]: found 0 MiB; allowed: more than nothing',
    ],
    [
      'a size that is no whole Mi',
      tableWith({ rows: [{ cpu: 1, memory: ['2G'] }] }),
      'specTable.rows[0].memory[0]: found 2G; allowed: whole Mi',
    ],
    [
      'a size finer than a thousandth',
      tableWith({ rows: [{ cpu: '100u', memory: ['2Gi'] }] }),
      'specTable.rows[0].cpu: found 100u; allowed: whole thousandths of a core',
    ],
    [
      'a range that does not come out',
      tableWith({ rows: [{ cpu: 1, memory: { from: '1Gi', to: '4Gi', step: '2Gi' } }] }),
      'specTable.rows[0].memory: found 1Gi to 4Gi; allowed: whole steps of 2Gi up',
    ],
    [
      'a range without steps',
      tableWith({ rows: [{ cpu: 1, memory: { from: '1Gi', to: '4Gi', step: '0' } }] }),
      'specTable.rows[0].memory.step: found 0; allowed: more',
    ],
    [
      'a default that is no size',
      tableWith({ defaults: { cpu: 3, memory: '2Gi' } }),
      'specTable.defaults: found 3 cores, 2 GiB; allowed: one of the sizes in rows',
    ],
    [
      'a processor that nobody can ask for',
      tableWith({ annotations: undefined }),
      'specTable.annotations.cpuType: missing',
    ],
    ['a nameless processor among others', tableWith({ cpuType: undefined }), 'specTable.cpuType: missing'],
    [
      'cards that are never chosen',
      tableWith({
        gpuRows: [
          { gpuModel: 'T4', gpus: 2, cpu: 8, memory: '32Gi' },
          { gpuModel: 'T4', gpus: 1, cpu: 8, memory: '32Gi' },
        ],
      }),
      'specTable.gpuRows[1]: found 1 × T4 with 8 cores, 32 GiB; allowed: before gpuRows[0]',
    ],
    [
      'a price of a processor that the table has not',
      pricesWith({ sku: 'x', unit: 'Core-Hours', price: '1', cpuType: 'RISC' }),
      'prices[6].cpuType: found "RISC"; allowed: ARM',
    ],
    [
      'a price of the usual processor by name',
      pricesWith({ sku: 'x', unit: 'Core-Hours', price: '1', cpuType: 'x86' }),
      'prices[6].cpuType: found "x86"; allowed: left out',
    ],
    [
      'a price of a card that the table has not',
      pricesWith({ sku: 'x', unit: 'GPU-Hours', price: '1', gpuModel: 'V100' }),
      'prices[6].gpuModel: found "V100"; allowed: T4',
    ],
    [
      'a SKU with two meanings',
      pricesWith({ sku: 'core', unit: 'GPU-Hours', price: '1' }),
      'prices[6].sku: found "core", which prices[0] has for Core-Hours of cpu',
    ],
    [
      'two prices at once',
      pricesWith({ sku: 'other', unit: 'Core-Seconds', price: '1' }),
      'prices[6]: holds at the same time with prices[0], for the same cpu',
    ],
    [
      'prices that overlap',
      pricesWith({ sku: 'core', unit: 'Core-Hours', price: '1', validFrom: '2026-03-01T00:00:00Z' }),
      'prices[6]: holds from 2026-03-01T00:00:00.000Z on with prices[0], for the same cpu',
    ],
    [
      'a price that ends',
      bookWith({
        prices: [{ sku: 'core', unit: 'Core-Hours', price: '1', validTo: '2026-03-01T00:00:00Z' }],
      }),
      'prices[0].validTo: found 2026-03-01T00:00:00Z; allowed: left out, since there is no other price for cpu after it',
    ],
    [
      'a time without a price',
      bookWith({
        prices: [
          { sku: 'core', unit: 'Core-Hours', price: '1', validTo: '2026-03-01T00:00:00Z' },
          { sku: 'core', unit: 'Core-Hours', price: '2', validFrom: '2026-03-02T00:00:00Z' },
        ],
      }),
      'prices[1].validFrom: found 2026-03-02T00:00:00Z; allowed: 2026-03-01T00:00:00.000Z, since there is no other price for cpu before it',
    ],
  ])('is refused with %s', (_what, value, problem) => {
    // Prices of processors and cards that a changed table has not are told beside.
    expect(problemsOf(value)).toContainEqual(expect.stringContaining(problem))
  })

  it('is refused where of two prices each says half of what a Pod is', () => {
    const { prices } = bookWith() as { prices: { sku: string }[] }
    const without = bookWith({ prices: prices.filter(({ sku }) => sku !== 'core-arm-spot') })
    expect(problemsOf(without)).toEqual([
      'prices[3]: for cpu ARM spot both it and prices[2] hold; allowed: a price of its own for that',
    ])
  })

  it('is told all that is wrong with it at once', () => {
    const { prices } = bookWith() as { prices: object[] }
    const bad = bookWith({ currency: 'euro', id: 'Ours!', prices: [{ ...prices[0], unit: 'Core' }] })
    expect(problemsOf(bad)).toHaveLength(3)
  })

  it('is what the guide shows', () => {
    const guide = readFileSync(new URL('../../docs/guides/prices.md', import.meta.url), 'utf8')
    const [shown] = [...guide.matchAll(/```yaml\n([^`]*\nid: [^`]*)```/g)].map(([, text = '']) => text)
    expect(problemsOf(parse(shown ?? '') as object)).toEqual([])
  })

  it('may change a price at an instant', () => {
    const turned = bookWith({
      prices: [
        { sku: 'core', unit: 'Core-Hours', price: '1', validTo: '2026-03-01T00:00:00Z' },
        { sku: 'core', unit: 'Core-Hours', price: '2', validFrom: '2026-03-01T00:00:00Z' },
      ],
    })
    expect(problemsOf(turned)).toEqual([])
  })
})
