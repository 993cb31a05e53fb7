import { errorMessage } from '../model/errors.ts'
import { cpuTypesOf, gpuModelsOf } from '../model/hardware.ts'
import {
  resourceOf,
  validity,
  type Price,
  type PriceBook,
  type PriceKind,
  type Size,
  type SpecRow,
  type SteppedSpecs,
} from '../model/price-book.ts'
import { formatCores, formatMiB } from '../model/spec.ts'

/** What no schema can see of a book: one sentence each, with the field. */
export function checkPriceBook(book: PriceBook): string[] {
  const times = timeProblems(book)
  // The rest compares times.
  if (times.length > 0) return times
  return [
    ...book.prices.flatMap((price, index) => overlaps(book.prices, price, index)),
    ...gaps(book),
    ...skuProblems(book.prices),
    ...kindProblems(book),
    ...undecided(book.prices),
    ...(book.specTable.kind === 'stepped' ? tableProblems(book.specTable) : []),
  ]
}

function timeProblems({ retrievedAt, prices, ...stated }: PriceBook): string[] {
  const problems: string[] = []
  if (Number.isNaN(Date.parse(`${retrievedAt}T00:00:00Z`))) {
    problems.push(`retrievedAt: found "${retrievedAt}"; allowed: a day, as in 2026-11-29`)
  }
  const spans = [
    { field: '', stated },
    ...prices.map((price, index) => ({ field: `prices[${index}].`, stated: price })),
  ]
  for (const { field, stated: span } of spans) problems.push(...spanProblems(field, span))
  return problems
}

function spanProblems(field: string, span: Pick<Price, 'validFrom' | 'validTo'>): string[] {
  const bad = (['validFrom', 'validTo'] as const).flatMap((name) => {
    const time = span[name]
    if (time === undefined) return []
    try {
      validity({ validFrom: time })
      return []
    } catch (error) {
      return [`${field}${name}: ${errorMessage(error)}`]
    }
  })
  if (bad.length > 0) return bad
  const { fromMs, toMs } = validity(span)
  return fromMs < toMs
    ? []
    : [`${field}validTo: found ${span.validTo}; allowed: after validFrom, ${span.validFrom}`]
}

/** Two prices of one kind at the same time: which one is it? */
function overlaps(prices: readonly Price[], price: Price, index: number): string[] {
  const { fromMs, toMs } = validity(price)
  return prices.slice(0, index).flatMap((other, at) => {
    if (keyOf(price) !== keyOf(other)) return []
    const { fromMs: otherFromMs, toMs: otherToMs } = validity(other)
    const sinceMs = Math.max(fromMs, otherFromMs)
    if (sinceMs >= Math.min(toMs, otherToMs)) return []
    const since = Number.isFinite(sinceMs) ? `from ${timeText(sinceMs)} on` : 'at the same time'
    return [`prices[${index}]: holds ${since} with prices[${at}], for the same ${kindText(price)}`]
  })
}

/** A price that begins late or ends early leaves a time in which what runs costs nothing, or another price. */
function gaps(book: PriceBook): string[] {
  const whole = validity(book)
  const byKind = Map.groupBy(
    book.prices.map((price, index) => ({ price, index, ...validity(price) })),
    ({ price }) => keyOf(price),
  )
  return [...byKind.values()].flatMap((own) => {
    const sorted = own.toSorted((a, b) => a.fromMs - b.fromMs)
    const problems: string[] = []
    let coveredMs = whole.fromMs
    for (const { price, index, fromMs, toMs } of sorted) {
      if (fromMs > coveredMs) {
        problems.push(
          `prices[${index}].validFrom: found ${price.validFrom}; allowed: ${edgeText(coveredMs, 'left out')}, since there is no other price for ${kindText(price)} before it`,
        )
      }
      coveredMs = Math.max(coveredMs, toMs)
    }
    const last = sorted.at(-1)
    if (last && coveredMs < whole.toMs) {
      problems.push(
        `prices[${last.index}].validTo: found ${last.price.validTo}; allowed: ${edgeText(whole.toMs, 'left out')}, since there is no other price for ${kindText(last.price)} after it`,
      )
    }
    return problems
  })
}

/** Lines of a bill are by SKU: one name, one meaning. */
function skuProblems(prices: readonly Price[]): string[] {
  return prices.flatMap((price, index) => {
    const at = prices.findIndex(({ sku }) => sku === price.sku)
    const first = prices[at]
    if (!first || at === index || (keyOf(first) === keyOf(price) && first.unit === price.unit)) return []
    return [
      `prices[${index}].sku: found "${price.sku}", which prices[${at}] has for ${first.unit} of ${kindText(first)}; allowed: another name`,
    ]
  })
}

function kindProblems({ prices, specTable }: PriceBook): string[] {
  const table = specTable.kind === 'stepped' ? specTable : undefined
  const [standard, ...others] = table ? cpuTypesOf(table) : []
  const processors = table?.cpuType === undefined ? cpuTypesOf(table ?? noTable) : others
  const models = gpuModelsOf(table ?? noTable)
  return prices.flatMap(({ cpuType, gpuModel }, index) => [
    ...(cpuType !== undefined && cpuType === table?.cpuType
      ? [
          `prices[${index}].cpuType: found "${cpuType}"; allowed: left out, since that is the processor of rows`,
        ]
      : unknown(`prices[${index}].cpuType`, cpuType, standard === undefined ? [] : processors)),
    ...unknown(`prices[${index}].gpuModel`, gpuModel, models),
  ])
}

const noTable: SteppedSpecs = {
  kind: 'stepped',
  rows: [],
  defaults: { cpuMillis: 0n, memoryMiB: 0n },
  gpuRows: [],
}

function unknown(field: string, name: string | undefined, known: readonly string[]): string[] {
  if (name === undefined || known.includes(name)) return []
  return [
    `${field}: found "${name}"; allowed: ${known.join(', ') || 'nothing, since the spec table has none'}`,
  ]
}

/** One price for all spot, one for all of a processor: of spot on that processor each says half. */
function undecided(prices: readonly Price[]): string[] {
  return prices.flatMap((price, index) =>
    prices.slice(0, index).flatMap((other, at) => {
      if (resourceOf(price.unit) !== resourceOf(other.unit)) return []
      const both = merged(price, other)
      if (
        !both ||
        keyOf({ ...price, ...both }) === keyOf(price) ||
        keyOf({ ...other, ...both }) === keyOf(other)
      )
        return []
      const isSaid = prices.some((third) => keyOf(third) === keyOf({ ...price, ...both }))
      return isSaid
        ? []
        : [
            `prices[${index}]: for ${kindText({ ...price, ...both })} both it and prices[${at}] hold; allowed: a price of its own for that`,
          ]
    }),
  )
}

/** What is of both kinds; undefined when nothing can be. */
function merged(a: PriceKind, b: PriceKind): PriceKind | undefined {
  for (const name of ['purchase', 'cpuType', 'gpuModel'] as const) {
    if (a[name] !== undefined && b[name] !== undefined && a[name] !== b[name]) return undefined
  }
  const { purchase = b.purchase, cpuType = b.cpuType, gpuModel = b.gpuModel } = a
  return {
    ...(purchase !== undefined && { purchase }),
    ...(cpuType !== undefined && { cpuType }),
    ...(gpuModel !== undefined && { gpuModel }),
  }
}

function tableProblems(table: SteppedSpecs): string[] {
  const { rows, cpuType, otherCpuTypes = [], defaults, gpuRows, annotations } = table
  const names = cpuTypesOf(table)
  return [
    ...rowProblems('specTable.rows', rows),
    ...otherCpuTypes.flatMap((other, index) =>
      rowProblems(`specTable.otherCpuTypes[${index}].rows`, other.rows),
    ),
    ...(otherCpuTypes.length > 0 && cpuType === undefined
      ? ['specTable.cpuType: missing; with otherCpuTypes that of rows needs a name, too']
      : []),
    ...(otherCpuTypes.length > 0 && annotations?.cpuType === undefined
      ? ['specTable.annotations.cpuType: missing; without it nobody can ask for otherCpuTypes']
      : []),
    ...names
      .filter((name, index) => names.indexOf(name) < index)
      .map((name) => `specTable.otherCpuTypes: found "${name}" twice; allowed: each once`),
    ...(isCell(rows, defaults)
      ? []
      : [`specTable.defaults: found ${sizeText(defaults)}; allowed: one of the sizes in rows`]),
    ...gpuProblems(gpuRows),
  ]
}

function rowProblems(field: string, rows: readonly SpecRow[]): string[] {
  return rows.flatMap(({ cpuMillis, memoryMiB }, index) => {
    const before = rows[index - 1]
    const isUp = cpuMillis > (before?.cpuMillis ?? 0n)
    const unsorted = memoryMiB.findIndex((cell, at) => cell <= (memoryMiB[at - 1] ?? 0n))
    return [
      ...(isUp
        ? []
        : [
            `${field}[${index}].cpu: found ${formatCores(cpuMillis)}; allowed: more than ${before ? `${formatCores(before.cpuMillis)} before it` : 'nothing'}`,
          ]),
      ...(unsorted < 0
        ? []
        : [
            `${field}[${index}].memory[${unsorted}]: found ${formatMiB(memoryMiB[unsorted] ?? 0n)}; allowed: more than ${unsorted > 0 ? `${formatMiB(memoryMiB[unsorted - 1] ?? 0n)} before it` : 'nothing'}`,
          ]),
    ]
  })
}

/** The first that holds the Pod counts: one before it that holds as much would hide it. */
function gpuProblems(rows: SteppedSpecs['gpuRows']): string[] {
  return rows.flatMap((row, index) => {
    const hider = rows.findIndex(
      (other, at) =>
        at < index &&
        other.gpuModel === row.gpuModel &&
        other.gpus >= row.gpus &&
        other.cpuMillis >= row.cpuMillis &&
        other.memoryMiB >= row.memoryMiB,
    )
    if (hider < 0) return []
    return [
      `specTable.gpuRows[${index}]: found ${row.gpus} × ${row.gpuModel} with ${sizeText(row)}; allowed: before gpuRows[${hider}], which holds as much`,
    ]
  })
}

function isCell(rows: readonly SpecRow[], { cpuMillis, memoryMiB }: Size): boolean {
  return rows.some((row) => row.cpuMillis === cpuMillis && row.memoryMiB.includes(memoryMiB))
}

function keyOf({ unit, purchase, cpuType, gpuModel }: Pick<Price, 'unit'> & PriceKind): string {
  return JSON.stringify([resourceOf(unit), purchase, cpuType, gpuModel])
}

function kindText({ unit, purchase, cpuType, gpuModel }: Pick<Price, 'unit'> & PriceKind): string {
  return [resourceOf(unit), cpuType, gpuModel, purchase].filter((part) => part !== undefined).join(' ')
}

function sizeText({ cpuMillis, memoryMiB }: Size): string {
  return `${formatCores(cpuMillis)}, ${formatMiB(memoryMiB)}`
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}

function edgeText(ms: number, unbounded: string): string {
  return Number.isFinite(ms) ? timeText(ms) : unbounded
}
