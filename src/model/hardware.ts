import type { Pod } from './kubernetes.ts'
import type { GpuRow, PriceKind, SpecRow, SteppedSpecs } from './price-book.ts'

/** Sizes among which a Pod's is looked up: group by group, the most wanted first. */
export interface Hardware {
  readonly cpu: readonly CpuSizes[]
  readonly gpu: readonly (readonly GpuRow[])[]
  /** Sentences about what the Pod says of it. */
  readonly steps: readonly string[]
}

export interface CpuSizes {
  /** Undefined: the table's own. */
  readonly cpuType: string | undefined
  readonly rows: readonly SpecRow[]
}

/** What a Pod gets that asks for no hardware. */
export function usualHardware({ rows, gpuRows }: SteppedSpecs): Hardware {
  return { cpu: [{ cpuType: undefined, rows }], gpu: [gpuRows], steps: [] }
}

/** By the annotations that the table heeds; of a Pod that was begun before, what it was begun with. */
export function hardwareOf(pod: Pod, table: SteppedSpecs, begun: PriceKind | undefined): Hardware {
  if (begun) return hardwareLike(table, begun)
  const usual = usualHardware(table)
  const { annotations = {} } = pod.metadata ?? {}
  const said = (key: string | undefined): string | undefined => (key === undefined ? key : annotations[key])
  const cpu = readWish(said(table.annotations?.cpuType), cpuTypesOf(table))
  const gpu = readWish(said(table.annotations?.gpuModel), gpuModelsOf(table))
  return {
    cpu: cpu.known.length > 0 ? cpu.known.map((name) => cpuSizes(table, name)) : usual.cpu,
    gpu: gpu.known.length > 0 ? gpu.known.map((model) => rowsOfModel(table, model)) : usual.gpu,
    steps: [...cpu.unknown.map(unknownStep('processor')), ...gpu.unknown.map(unknownStep('GPU'))],
  }
}

/** The same processor, and the same model of card. */
export function hardwareLike(table: SteppedSpecs, { cpuType, gpuModel }: PriceKind): Hardware {
  const gpu = gpuModel === undefined ? [table.gpuRows] : [rowsOfModel(table, gpuModel)]
  return { cpu: [cpuSizes(table, cpuType)], gpu, steps: [] }
}

/** The table's own processor first; empty where the table does not tell processors apart. */
export function cpuTypesOf({ cpuType, otherCpuTypes = [] }: SteppedSpecs): string[] {
  return [...(cpuType === undefined ? [] : [cpuType]), ...otherCpuTypes.map((other) => other.cpuType)]
}

export function gpuModelsOf({ gpuRows }: SteppedSpecs): string[] {
  return [...new Set(gpuRows.map(({ gpuModel }) => gpuModel))]
}

function cpuSizes({ rows, otherCpuTypes = [] }: SteppedSpecs, cpuType: string | undefined): CpuSizes {
  return otherCpuTypes.find((other) => other.cpuType === cpuType) ?? { cpuType: undefined, rows }
}

function rowsOfModel({ gpuRows }: SteppedSpecs, model: string): readonly GpuRow[] {
  return gpuRows.filter(({ gpuModel }) => gpuModel === model)
}

interface Wish {
  readonly known: readonly string[]
  readonly unknown: readonly { readonly name: string; readonly allowed: readonly string[] }[]
}

/** A list in the order of preference. Written `1/4*T4` or `amd`, it means `1/4 T4` and `AMD`. */
function readWish(text: string | undefined, allowed: readonly string[]): Wish {
  const names = (text ?? '').split(',').map((name) => name.trim())
  const found = names
    .filter((name) => name !== '')
    .map((name) => ({ name, as: allowed.find((one) => plain(one) === plain(name)) }))
  return {
    known: found.flatMap(({ as }) => as ?? []),
    unknown: found.filter(({ as }) => as === undefined).map(({ name }) => ({ name, allowed })),
  }
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9/]/g, '')
}

function unknownStep(what: string): (wish: Wish['unknown'][number]) => string {
  return ({ name, allowed }) =>
    `${what} "${name}" is not in the price book, which has ${allowed.join(', ') || 'none'}`
}
