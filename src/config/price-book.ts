import type { PriceBook, Size, SpecRow, SpecTable, SteppedSpecs } from '../model/price-book.ts'
import { formatBytes, formatCpu, parseBytes, parseCpuMillis, parseQuantity } from '../model/quantity.ts'
import { checkPriceBook } from './check-price-book.ts'
import {
  exactSpecsSchema,
  priceBookSchema,
  steppedSpecsSchema,
  type RawPriceBook,
  type RawRows,
  type RawSteppedSpecs,
} from './price-book-schema.ts'
import { validate } from './validate.ts'

/** A book, or everything that is wrong with it: one sentence each, with the field. */
export type ReadPriceBook =
  | { readonly book: PriceBook; readonly problems: readonly [] }
  | { readonly book: undefined; readonly problems: readonly string[] }

/** Of a parsed file. Pure. */
export function readPriceBook(value: unknown): ReadPriceBook {
  const problems = [...validate(priceBookSchema, value), ...tableProblems(value)]
  if (problems.length > 0) return { book: undefined, problems }
  const raw = value as RawPriceBook
  const sizes = sizeProblems(raw)
  if (sizes.length > 0) return { book: undefined, problems: sizes }
  const book = compile(raw)
  const mistakes = checkPriceBook(book)
  return mistakes.length > 0 ? { book: undefined, problems: mistakes } : { book, problems: [] }
}

function tableProblems(value: unknown): string[] {
  const table = (value as { specTable?: { kind?: unknown } } | null)?.specTable
  if (table?.kind === 'exact') return validate(exactSpecsSchema, table, 'specTable')
  return table?.kind === 'stepped' ? validate(steppedSpecsSchema, table, 'specTable') : []
}

type Quantity = string | number

/** Whole thousandths of a core and whole MiB: what is finer would be rounded, and a table has no approximate cells. */
function sizeProblems({ memoryOverhead = 0, specTable }: RawPriceBook): string[] {
  const cpu = (field: string, size: Quantity): string[] =>
    parseQuantity(String(size), 9) % 1_000_000n === 0n
      ? []
      : [`${field}: found ${size}; allowed: whole thousandths of a core`]
  const memory = (field: string, size: Quantity): string[] =>
    parseQuantity(String(size), 9) % (1_048_576n * 10n ** 9n) === 0n
      ? []
      : [`${field}: found ${size}; allowed: whole Mi`]
  const both = (field: string, size: { cpu: Quantity; memory: Quantity }): string[] => [
    ...cpu(`${field}.cpu`, size.cpu),
    ...memory(`${field}.memory`, size.memory),
  ]
  const rows = (field: string, all: RawRows): string[] =>
    all.flatMap((row, index) => [
      ...cpu(`${field}[${index}].cpu`, row.cpu),
      ...(Array.isArray(row.memory)
        ? row.memory.flatMap((size, at) => memory(`${field}[${index}].memory[${at}]`, size))
        : rangeProblems(`${field}[${index}].memory`, row.memory, memory)),
    ])
  const common = [
    ...memory('memoryOverhead', memoryOverhead),
    ...both('specTable.defaults', specTable.defaults),
  ]
  if (specTable.kind === 'exact') return common
  const { otherCpuTypes = [], gpuRows = [] } = specTable
  return [
    ...common,
    ...rows('specTable.rows', specTable.rows),
    ...otherCpuTypes.flatMap((other, index) => rows(`specTable.otherCpuTypes[${index}].rows`, other.rows)),
    ...gpuRows.flatMap((row, index) => both(`specTable.gpuRows[${index}]`, row)),
  ]
}

interface RawRange {
  readonly from: Quantity
  readonly to: Quantity
  readonly step?: Quantity
}

function rangeProblems(
  field: string,
  range: RawRange,
  memory: (field: string, size: Quantity) => string[],
): string[] {
  const problems = Object.entries(range).flatMap(([name, size]) =>
    memory(`${field}.${name}`, size as Quantity),
  )
  if (problems.length > 0) return problems
  const { from, to, step } = mebibytes(range)
  if (step === 0n) return [`${field}.step: found 0; allowed: more`]
  if (to < from || (to - from) % step !== 0n) {
    return [
      `${field}: found ${range.from} to ${range.to}; allowed: whole steps of ${formatBytes(step << 20n)} up`,
    ]
  }
  return (to - from) / step > 4096n ? [`${field}: found more than 4096 sizes; allowed: fewer`] : []
}

function mebibytes({ from, to, step = '1Gi' }: RawRange): { from: bigint; to: bigint; step: bigint } {
  return { from: toMiB(from), to: toMiB(to), step: toMiB(step) }
}

function toMiB(size: Quantity): bigint {
  return parseBytes(String(size)) >> 20n
}

function compile(raw: RawPriceBook): PriceBook {
  const { memoryOverhead = 0, specTable, lineRounding, secondRounding, ...more } = raw
  return {
    ...more,
    notes: raw.notes ?? [],
    minimumSeconds: raw.minimumSeconds ?? 0,
    secondRounding: secondRounding === 'up' ? 'up' : 'none',
    memoryOverheadMiB: toMiB(memoryOverhead),
    lineRounding: lineRounding ?? { scale: 9, mode: 'half_even' },
    specTable:
      specTable.kind === 'exact'
        ? { kind: 'exact', defaults: compileSize(specTable.defaults) }
        : compileStepped(specTable),
  }
}

function compileStepped({ demand, rows, otherCpuTypes, gpuRows = [], ...more }: RawSteppedSpecs): SpecTable {
  return {
    ...more,
    ...(demand !== undefined && { demand }),
    defaults: compileSize(more.defaults),
    rows: compileRows(rows),
    ...(otherCpuTypes && {
      otherCpuTypes: otherCpuTypes.map((other) => ({ ...other, rows: compileRows(other.rows) })),
    }),
    gpuRows: gpuRows.map(({ gpuModel, gpus, ...size }) => ({
      gpuModel,
      gpus: BigInt(gpus),
      ...compileSize(size),
    })),
  }
}

function compileRows(rows: RawRows): SpecRow[] {
  return rows.map(({ cpu, memory }) => ({
    cpuMillis: parseCpuMillis(String(cpu)),
    memoryMiB: Array.isArray(memory) ? memory.map(toMiB) : inSteps(memory),
  }))
}

function inSteps(range: RawRange): bigint[] {
  const { from, to, step } = mebibytes(range)
  return Array.from({ length: Number((to - from) / step) + 1 }, (_, index) => from + BigInt(index) * step)
}

function compileSize({ cpu, memory }: { readonly cpu: Quantity; readonly memory: Quantity }): Size {
  return { cpuMillis: parseCpuMillis(String(cpu)), memoryMiB: toMiB(memory) }
}

/** As a file has it: what `readPriceBook` makes the same book of. */
export function writePriceBook({ memoryOverheadMiB, specTable, ...more }: PriceBook): object {
  return {
    ...more,
    memoryOverhead: writeMiB(memoryOverheadMiB),
    specTable:
      specTable.kind === 'exact'
        ? { ...specTable, defaults: writeSize(specTable.defaults) }
        : writeStepped(specTable),
  }
}

function writeStepped({ rows, otherCpuTypes, gpuRows, defaults, ...more }: SteppedSpecs): object {
  return {
    ...more,
    defaults: writeSize(defaults),
    rows: rows.map(writeRow),
    ...(otherCpuTypes && {
      otherCpuTypes: otherCpuTypes.map((other) => ({ ...other, rows: other.rows.map(writeRow) })),
    }),
    gpuRows: gpuRows.map(({ gpuModel, gpus, ...size }) => ({
      gpuModel,
      gpus: Number(gpus),
      ...writeSize(size),
    })),
  }
}

function writeRow({ cpuMillis, memoryMiB }: SpecRow): object {
  return { cpu: formatCpu(cpuMillis), memory: memoryMiB.map(writeMiB) }
}

function writeSize({ cpuMillis, memoryMiB }: Size): object {
  return { cpu: formatCpu(cpuMillis), memory: writeMiB(memoryMiB) }
}

function writeMiB(memoryMiB: bigint): string {
  return formatBytes(memoryMiB << 20n)
}
