/** Every size of every shipped table, against cells typed in once more from the same pages and looked at one by one. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeJson } from '../../src/billing/ledger-json.ts'
import { alibabaEciIntl } from '../../src/billing/price-books/alibaba-eci-intl-2025-11-04.ts'
import { awsFargate } from '../../src/billing/price-books/aws-fargate-us-east-1-2026-03.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import { hardwareLike } from '../../src/model/hardware.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { formatSpec, sizeFor } from '../../src/model/spec.ts'
import { cellsOf, cheapest } from '../support/spec-cells.ts'

interface Table {
  readonly name: string
  readonly book: PriceBook
  readonly cpuType?: string
  /** `cores: GiB, GiB-GiB, GiB-GiB/step`, one row a line. */
  readonly cells: string
  /** Of a core and of a GiB for the same time, as integers. */
  readonly prices: readonly [core: number, gib: number]
}

const tables: readonly Table[] = [
  {
    name: 'Tencent, Intel',
    book: tencentEksIntl,
    cells: `0.25: 0.5, 1, 2
            0.5: 1, 2, 3, 4
            1: 1-8
            2: 4-16
            4: 8-32
            8: 16-32
            12: 24-48
            16: 32-64`,
    prices: [4976, 2073],
  },
  {
    name: 'Tencent, AMD',
    book: tencentEksIntl,
    cpuType: 'AMD',
    cells: `1: 1-4
            2: 2-8
            4: 4-16
            8: 8-32
            16: 32-64`,
    prices: [219, 127],
  },
  {
    name: 'Fargate',
    book: awsFargate,
    cells: `0.25: 0.5, 1, 2
            0.5: 1-4
            1: 2-8
            2: 4-16
            4: 8-30
            8: 16-60/4
            16: 32-120/8`,
    prices: [40_480, 4445],
  },
  {
    name: 'ECI',
    book: alibabaEciIntl,
    cells: `0.25: 0.5, 1
            0.5: 1, 2
            1: 2, 4, 8
            2: 1, 2, 4, 8, 16
            4: 2, 4, 8, 16, 32
            8: 4, 8, 16, 32, 64
            12: 12, 24, 48, 96
            16: 16, 32, 64, 128
            24: 24, 48, 96, 192
            32: 32, 64, 128, 256
            52: 96, 192, 384
            64: 128, 256, 512`,
    prices: [770, 96],
  },
]

const mostMillis = 17_000
const mostMiB = 130 * 1024

/** Where a choice can turn, which is at a size and just beside it, and an even grid over everything. */
function edges(sizes: readonly number[], { most, grid }: { most: number; grid: number }): number[] {
  const beside = sizes.flatMap((size) => [size - 1, size, size + 1])
  const even = Array.from({ length: Math.floor(most / grid) + 1 }, (_, index) => index * grid)
  const inside = [1, ...beside, ...even].filter((size) => size >= 0 && size <= most)
  return [...new Set(inside)]
}

describe.each(tables)('the table of $name', ({ book, cpuType, cells: text, prices }) => {
  const { specTable: table, memoryOverheadMiB: overheadMiB } = book
  if (table.kind !== 'stepped') throw new Error('the book has no table')
  const cells = cellsOf(text)
  const hardware = hardwareLike(table, cpuType === undefined ? {} : { cpuType })

  it('has the cells of the page, and no others', () => {
    const found = hardware.cpu.flatMap(({ rows }) =>
      rows.flatMap(({ cpuMillis, memoryMiB }) =>
        memoryMiB.map((mib) => ({ millis: Number(cpuMillis), mib: Number(mib) })),
      ),
    )
    expect(found).toEqual(cells)
  })

  const slow = { timeout: 30_000 }
  it('gives each demand the cheapest cell that holds it, and none to what no cell holds', slow, () => {
    const overhead = Number(overheadMiB)
    const cpu = edges(
      cells.map(({ millis }) => millis),
      { most: mostMillis, grid: 250 },
    )
    const memory = edges(
      cells.map(({ mib }) => mib - overhead),
      { most: mostMiB, grid: 256 },
    )
    const wrong: string[] = []
    let sized = 0
    for (const millis of cpu) {
      for (const mib of memory) {
        if (millis === 0 && mib === 0) continue
        const demand = { cpuMillis: BigInt(millis), memoryMiB: BigInt(mib), gpus: 0n }
        const choice = sizeFor(demand, { table, overheadMiB, hardware })
        const best = cheapest(cells, { millis, mib: mib + overhead }, prices)
        const found = choice.ok ? `${choice.spec.cpuMillis}/${choice.spec.memoryMiB}` : 'none'
        if (choice.ok) sized += 1
        if (found !== (best ? `${best.millis}/${best.mib}` : 'none')) wrong.push(formatSpec(demand))
      }
    }
    expect(wrong).toEqual([])
    expect(sized).toBeGreaterThan(5000)
  })
})

describe('a book that was published', () => {
  // Bills were made by it: a new price or size is a book with an id of its own. Notes may be put better.
  it.each([
    ['tencent-eks-intl-2023-06-30', '5066fd94e3399548'],
    ['aws-fargate-us-east-1-2026-03', 'c993bb7ca69a8a01'],
    ['alibaba-eci-intl-2025-11-04', '9b0bba2a275a0285'],
    ['flat-demo', '3ea90cf22464d2d4'],
  ])('%s never changes', (id, digest) => {
    const book = shippedPriceBooks.find((one) => one.id === id)
    const { notes: _, ...billed } = book ?? { notes: [] }
    expect(createHash('sha256').update(encodeJson(billed)).digest('hex').slice(0, 16)).toBe(digest)
  })

  it('is every one that is shipped', () => {
    expect(shippedPriceBooks.map(({ id }) => id)).toEqual([
      'tencent-eks-intl-2023-06-30',
      'aws-fargate-us-east-1-2026-03',
      'alibaba-eci-intl-2025-11-04',
      'flat-demo',
    ])
  })
})
