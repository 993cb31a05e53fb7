import type {
  BookComparison,
  ComparedCell,
  ComparedPrice,
  ComparedSample,
  SampleSize,
} from '../billing/compare-books.ts'
import { hourlyPrice } from '../billing/spending.ts'
import { formatNanos, nanoScale, roundRational } from '../model/money.ts'
import {
  priceAt,
  type GpuRow,
  type Price,
  type PriceBook,
  type SpecRow,
  type SpecTable,
} from '../model/price-book.ts'
import { formatCores, formatMiB, type Spec } from '../model/spec.ts'
import { sizesIn, type BookCheck } from './price-book-check.ts'
import { formatTable } from './table.ts'

export function formatBooks(books: readonly PriceBook[]): string {
  return formatTable(
    [
      { title: 'price book' },
      { title: 'currency' },
      { title: 'read on' },
      { title: 'sizes' },
      { title: 'spot' },
      { title: 'source' },
    ],
    books.map((book) => [
      book.id,
      book.currency,
      book.retrievedAt,
      book.specTable.kind === 'exact' ? '1:1' : String(sizesIn(book)),
      book.prices.some(({ purchase }) => purchase === 'spot') ? 'yes' : 'no',
      shortened(book.source),
    ]),
  )
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

export function formatBook(book: PriceBook, atMs: number): string {
  const validity = [
    book.validFrom !== undefined && `from ${book.validFrom}`,
    book.validTo !== undefined && `until ${book.validTo}`,
  ].filter((part) => part !== false)
  const head = [
    `Price book ${book.id}, ${book.currency}${validity.length > 0 ? `, valid ${validity.join(' ')}` : ''}`,
    `  read on ${book.retrievedAt}: ${book.source}`,
    ...book.notes.map((note) => `  - ${note}`),
  ]
  return [
    `${head.join('\n')}\n`,
    formatPrices(book.prices),
    formatSizes(book.specTable, { book, atMs }),
  ].join('\n')
}

function formatPrices(prices: readonly Price[]): string {
  return formatTable(
    [
      { title: 'sku' },
      { title: 'price', right: true },
      { title: 'unit' },
      { title: 'only of' },
      { title: 'from' },
      { title: 'until' },
    ],
    prices.map(({ sku, price, unit, cpuType, gpuModel, purchase, validFrom = '', validTo = '' }) => [
      sku,
      price,
      unit,
      [cpuType, gpuModel, purchase].filter((part) => part !== undefined).join(' '),
      validFrom,
      validTo,
    ]),
  )
}

interface Tariff {
  readonly book: PriceBook
  readonly atMs: number
}

function formatSizes(table: SpecTable, tariff: Tariff): string {
  if (table.kind === 'exact') return 'Sizes: what a Pod asks for, 1:1.\n'
  const { rows, otherCpuTypes = [], gpuRows, cpuType } = table
  const cells = [
    ...rows.map((row) => [row.cpuMillis, cpuType ?? '', row, undefined] as const),
    ...otherCpuTypes.flatMap((other) =>
      other.rows.map((row) => [row.cpuMillis, other.cpuType, row, other.cpuType] as const),
    ),
  ].map(([cpuMillis, name, row, kind]) => [
    formatCores(cpuMillis),
    name,
    memoryText(row.memoryMiB),
    rowPrices(row, kind, tariff),
  ])
  const sizes = formatTable(
    [
      { title: 'cores' },
      { title: 'processor' },
      { title: 'memory' },
      { title: `${tariff.book.currency} an hour` },
    ],
    cells,
  )
  return gpuRows.length > 0 ? `${sizes}\n${formatCards(gpuRows, tariff)}` : sizes
}

function formatCards(rows: readonly GpuRow[], tariff: Tariff): string {
  return formatTable(
    [
      { title: 'cards' },
      { title: 'cores' },
      { title: 'memory' },
      { title: `${tariff.book.currency} an hour` },
    ],
    rows.map((row) => [
      `${row.gpus} × ${row.gpuModel}`,
      formatCores(row.cpuMillis),
      formatMiB(row.memoryMiB),
      `${perHour(row, tariff)}${priceAt(tariff.book, 'gpu', tariff.atMs, row) ? '' : ', cards unpriced'}`,
    ]),
  )
}

function rowPrices({ cpuMillis, memoryMiB }: SpecRow, cpuType: string | undefined, tariff: Tariff): string {
  const priceOf = (mib: bigint | undefined): string =>
    perHour({ cpuMillis, memoryMiB: mib ?? 0n, gpus: 0n, ...(cpuType !== undefined && { cpuType }) }, tariff)
  const [least, most] = [priceOf(memoryMiB[0]), priceOf(memoryMiB.at(-1))]
  return least === most ? least : `${least} to ${most}`
}

function perHour(spec: Spec, { book, atMs }: Tariff): string {
  return formatNanos(roundRational(hourlyPrice(spec, book, atMs), nanoScale, 'half_even'))
}

/** `4–16 GiB` where the steps are even, else each. */
export function memoryText(sizes: readonly bigint[]): string {
  const [first = 0n, second, ...more] = sizes
  const step = second === undefined ? 0n : second - first
  const isEven = more.length > 0 && sizes.every((size, index) => size === first + BigInt(index) * step)
  if (!isEven) return sizes.map(formatMiB).join(', ')
  return `${formatMiB(first)} to ${formatMiB(sizes.at(-1) ?? 0n)} by ${formatMiB(step)}`
}

export function formatChecks(checks: readonly BookCheck[]): string {
  return checks
    .flatMap(({ file, id, prices, sizes, problems }) =>
      problems.length > 0
        ? [
            `${file}: ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`,
            ...problems.map((problem) => `  ✗ ${problem}`),
          ]
        : [`${file}: price book ${id}, ${prices} prices, ${sizes > 0 ? `${sizes} sizes` : 'sizes 1:1'}`],
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** What does not change is left out; without a change it says so. */
export function formatComparison({ from, to, rules, prices, cells, samples }: BookComparison): string {
  const titles = (what: string) => [
    { title: what },
    { title: 'from', right: true },
    { title: 'to', right: true },
    { title: 'change', right: true },
  ]
  const changedPrices = prices.filter(({ was, is }) => was?.perHour !== is?.perHour)
  const changedCells = cells.filter(({ was, is }) => was !== is)
  const parts = [
    rules.length > 0 &&
      formatTable(
        [{ title: 'rule' }, { title: 'from' }, { title: 'to' }],
        rules.map(({ what, was = 'none', is = 'none' }) => [what, was, is]),
      ),
    changedPrices.length > 0 && formatTable(titles('an hour of'), changedPrices.map(priceCells)),
    changedCells.length > 0 && formatTable(titles('size, an hour'), changedCells.map(cellCells)),
    samples.length > 0 &&
      formatTable(
        [{ title: 'a Pod asking for' }, { title: 'from' }, { title: 'to' }, { title: 'change', right: true }],
        samples.map((sample) => sampleCells(sample, [from.currency, to.currency])),
      ),
  ].filter((part) => part !== false)
  const isSame = rules.length + changedPrices.length + changedCells.length === 0
  const head = `From ${from.id} to ${to.id}${isSame ? ': rules, prices and sizes are the same' : ''}.\n`
  return [head, ...parts].join('\n')
}

function priceCells({ what, was, is, changePercent }: ComparedPrice): string[] {
  return [what, was?.perHour ?? 'none', is?.perHour ?? 'none', percent(changePercent)]
}

function cellCells({ what, was = 'none', is = 'none', changePercent }: ComparedCell): string[] {
  return [what, was, is, percent(changePercent)]
}

function sampleCells(
  { pod, was, is, changePercent }: ComparedSample,
  [before, after]: readonly [string, string],
): string[] {
  return [pod, sampleText(was, before), sampleText(is, after), percent(changePercent)]
}

function sampleText(sample: SampleSize, currency: string): string {
  return sample.size === undefined ? 'no size' : `${sample.size}: ${sample.perHour} ${currency}`
}

function percent(change: string | undefined): string {
  return change === undefined ? '' : `${change} %`
}
