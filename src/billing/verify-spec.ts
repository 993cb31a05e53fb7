import type { PriceBook, Size, SpecRow, SteppedSpecs } from '../model/price-book.ts'
import { formatSpec, type Spec } from '../model/spec.ts'
import type { BillingTerms } from '../model/usage.ts'

/**
 * What is wrong with the size that a Pod is billed at; undefined when nothing is. By trying every cell of the table, and
 * not by the search that chose it.
 */
export function specProblem(terms: BillingTerms, book: PriceBook): string | undefined {
  const { spec, demand, steps } = terms
  // A record that does not say how its size was chosen claims nothing that could be false.
  if (steps.length === 0) return undefined
  const table = book.specTable
  if (table.kind === 'exact') {
    const cpuMillis = demand.cpuMillis || table.defaults.cpuMillis
    const memoryMiB = (demand.memoryMiB || table.defaults.memoryMiB) + book.memoryOverheadMiB
    const isExact = spec.cpuMillis === cpuMillis && spec.memoryMiB === memoryMiB && spec.gpus === demand.gpus
    return isExact ? undefined : `${formatSpec(spec)} is not what was asked for`
  }
  const asksNothing = demand.cpuMillis === 0n && demand.memoryMiB === 0n && demand.gpus === 0n
  if (asksNothing) return isSame(spec, table.defaults) ? undefined : `${formatSpec(spec)} is not the default`
  const wanted = { ...demand, memoryMiB: demand.memoryMiB + book.memoryOverheadMiB }
  const cells = cellsFor(spec, table)
  const holding = cells.filter((cell) => holds(cell, wanted))
  if (holding.length === 0 && isSame(spec, demand)) return undefined
  if (!holds(spec, wanted)) return `${formatSpec(spec)} does not hold what was asked for`
  if (!cells.some((cell) => isSame(cell, spec) && cell.gpus === spec.gpus)) {
    return `${formatSpec(spec)} is not in the table of "${book.id}"`
  }
  const smaller = holding.find(
    (cell) => holds(spec, cell) && !(isSame(cell, spec) && cell.gpus === spec.gpus),
  )
  return smaller && `${formatSpec(spec)} is more than ${formatSpec(smaller)}, which would do`
}

/** Every size of the hardware that was chosen. */
function cellsFor(spec: Spec, table: SteppedSpecs): Spec[] {
  if (spec.gpus > 0n) return table.gpuRows.filter(({ gpuModel }) => gpuModel === spec.gpuModel)
  const other = (table.otherCpuTypes ?? []).find(({ cpuType }) => cpuType === spec.cpuType)
  return (other?.rows ?? table.rows).flatMap(cellsOf)
}

function cellsOf({ cpuMillis, memoryMiB }: SpecRow): Spec[] {
  return memoryMiB.map((cell) => ({ cpuMillis, memoryMiB: cell, gpus: 0n }))
}

function holds(cell: Size & { readonly gpus: bigint }, wanted: Size & { readonly gpus: bigint }): boolean {
  return cell.cpuMillis >= wanted.cpuMillis && cell.memoryMiB >= wanted.memoryMiB && cell.gpus >= wanted.gpus
}

function isSame(a: Size, b: Size): boolean {
  return a.cpuMillis === b.cpuMillis && a.memoryMiB === b.memoryMiB
}
