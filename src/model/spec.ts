import { assertNever } from './assert.ts'
import { demandOf, gpuCount, ofResources } from './demand.ts'
import { hardwareOf, usualHardware, type CpuSizes, type Hardware } from './hardware.ts'
import type { Pod } from './kubernetes.ts'
import type {
  ExactSpecs,
  GpuRow,
  PriceBook,
  PriceKind,
  PurchaseOption,
  Size,
  SteppedSpecs,
} from './price-book.ts'
import { purchaseOf } from './purchase.ts'
import { podLimits, podRequests } from './resources.ts'

/** The size that a Pod is given and billed at, and the kind of it: all that its price hangs on. */
export interface Spec extends Size, PriceKind {
  readonly gpus: bigint
}

/** What the Pod asks for, before any size is looked up. */
export interface Demand extends Size {
  readonly gpus: bigint
}

/** `steps` say, one sentence each, how the demand became the size. */
export type SpecChoice =
  | { readonly ok: true; readonly spec: Spec; readonly demand: Demand; readonly steps: readonly string[] }
  | {
      readonly ok: false
      /** What is billed when the Pod runs all the same: what it asks for. */
      readonly spec: Spec
      readonly demand: Demand
      readonly error: string
      readonly steps: readonly string[]
    }

export interface SpecWishes {
  /** Of Pods that say nothing themselves. Default on demand. */
  readonly purchase?: PurchaseOption | undefined
  /** What a running Pod was begun with. Its annotations may have changed; how it was bought has not, nor its hardware. */
  readonly begun?: PriceKind | undefined
}

/** The size of a Pod by the book's table. Never throws for a Pod that the API server took. */
export function chooseSpec(pod: Pod, book: PriceBook, { purchase, begun }: SpecWishes = {}): SpecChoice {
  const choice = chooseSize(pod, book, begun)
  const { option, steps } = begun
    ? { option: begun.purchase ?? 'on-demand', steps: [] }
    : purchaseOf(pod, book, purchase)
  const spec: Spec = option === 'spot' ? { ...choice.spec, purchase: option } : choice.spec
  return { ...choice, spec, steps: [...choice.steps, ...steps] }
}

function chooseSize(
  pod: Pod,
  { specTable: table, memoryOverheadMiB }: PriceBook,
  begun?: PriceKind,
): SpecChoice {
  switch (table.kind) {
    case 'exact':
      return chooseExact(pod, table, memoryOverheadMiB)
    case 'stepped':
      return chooseStepped(pod, table, { overheadMiB: memoryOverheadMiB, begun })
    default:
      return assertNever(table, 'spec table')
  }
}

/** As people write it: `4 cores, 8 GiB`, `0.25 cores (AMD), 512 MiB, spot`, `8 cores, 40 GiB, 1 × V100`. */
export function formatSpec({ cpuMillis, memoryMiB, gpus, gpuModel, cpuType, purchase }: Spec): string {
  const processor = cpuType === undefined ? '' : ` (${cpuType})`
  const cards = gpus > 0n ? `, ${gpus} × ${gpuModel ?? 'GPU'}` : ''
  return `${formatCores(cpuMillis)}${processor}, ${formatMiB(memoryMiB)}${cards}${purchase ? `, ${purchase}` : ''}`
}

function chooseExact(pod: Pod, table: ExactSpecs, overheadMiB: bigint): SpecChoice {
  const requests = podRequests(pod)
  const limits = podLimits(pod)
  const demand = { ...ofResources(requests), gpus: gpuCount(requests.extended) || gpuCount(limits.extended) }
  const steps = [`the Pod's requests, as the scheduler counts them: ${formatSpec(demand)}`]
  const cpuMillis = demand.cpuMillis || table.defaults.cpuMillis
  const memoryMiB = demand.memoryMiB || table.defaults.memoryMiB
  if (demand.cpuMillis === 0n) steps.push(`no CPU asked for: ${formatCores(cpuMillis)} by default`)
  if (demand.memoryMiB === 0n) steps.push(`no memory asked for: ${formatMiB(memoryMiB)} by default`)
  if (overheadMiB > 0n) steps.push(`plus ${formatMiB(overheadMiB)} of overhead`)
  return { ok: true, spec: { ...demand, cpuMillis, memoryMiB: memoryMiB + overheadMiB }, demand, steps }
}

function chooseStepped(
  pod: Pod,
  table: SteppedSpecs,
  { overheadMiB, begun }: { readonly overheadMiB: bigint; readonly begun: PriceKind | undefined },
): SpecChoice {
  const { demand, notes, says } = demandOf(pod, table)
  const hardware = hardwareOf(pod, table, begun)
  const steps = [...notes, `${says}${formatSpec(demand)}`, ...hardware.steps]
  return sizeFor(demand, { table, overheadMiB, hardware, steps })
}

export interface SizeSearch {
  readonly table: SteppedSpecs
  readonly overheadMiB: bigint
  /** Sentences that led there. */
  readonly steps?: readonly string[]
  /** Default: what a Pod gets that asks for none. */
  readonly hardware?: Hardware
}

/** The size that a table has for what is asked for. */
export function sizeFor(demand: Demand, search: SizeSearch): SpecChoice {
  const { table, overheadMiB, hardware = usualHardware(table) } = search
  const steps = [...(search.steps ?? [])]
  if (demand.cpuMillis === 0n && demand.memoryMiB === 0n && demand.gpus === 0n) {
    const cpuType = hardware.cpu[0]?.cpuType
    const spec = { ...table.defaults, gpus: 0n, ...(cpuType !== undefined && { cpuType }) }
    return { ok: true, spec, demand, steps: [...steps, `nothing asked for: ${formatSpec(spec)} by default`] }
  }
  if (overheadMiB > 0n) steps.push(`plus ${formatMiB(overheadMiB)} of overhead`)
  const wanted = { ...demand, memoryMiB: demand.memoryMiB + overheadMiB }
  const found =
    demand.gpus > 0n
      ? firstFound(hardware.gpu.map((rows) => lookUpGpu(wanted, rows)))
      : firstFound(hardware.cpu.map((sizes) => lookUpRow(wanted, sizes)))
  const told = { demand, steps: [...steps, ...found.steps] }
  if (found.spec) return { ok: true, spec: found.spec, ...told }
  return { ok: false, spec: demand, error: found.error, ...told }
}

interface LookUp {
  readonly spec: Spec | undefined
  readonly error: string
  readonly steps: readonly string[]
}

/** With what was said of those before it. */
function firstFound(tried: readonly LookUp[]): LookUp {
  const hit = tried.findIndex(({ spec }) => spec !== undefined)
  const upTo = hit < 0 ? tried : tried.slice(0, hit + 1)
  const last = upTo.at(-1) ?? { spec: undefined, error: 'there is no size', steps: [] }
  return { ...last, steps: upTo.flatMap(({ steps }) => steps) }
}

function lookUpRow(wanted: Demand, { cpuType, rows }: CpuSizes): LookUp {
  const steps: string[] = []
  for (const { cpuMillis, memoryMiB: cells } of rows.filter((row) => row.cpuMillis >= wanted.cpuMillis)) {
    const memoryMiB = cells.find((cell) => cell >= wanted.memoryMiB)
    if (memoryMiB !== undefined) {
      const spec = { cpuMillis, memoryMiB, gpus: 0n, ...(cpuType !== undefined && { cpuType }) }
      steps.push(`smallest size that holds it: ${formatSpec(spec)}`)
      return { spec, error: '', steps }
    }
    const most = formatMiB(cells.at(-1) ?? 0n)
    steps.push(
      `${formatCores(cpuMillis)} come with at most ${most}, less than ${formatMiB(wanted.memoryMiB)}: next CPU size`,
    )
  }
  const top = rows.at(-1)
  const error = `${formatSpec(wanted)} is more than the largest size, ${formatCores(top?.cpuMillis ?? 0n)} with ${formatMiB(top?.memoryMiB.at(-1) ?? 0n)}`
  return { spec: undefined, error, steps }
}

/** Cards first; when that size is too small in CPU or memory, more cards (Tencent's page calls that waste itself). */
function lookUpGpu(wanted: Demand, rows: readonly GpuRow[]): LookUp {
  const row = rows.find(
    ({ gpus, cpuMillis, memoryMiB }) =>
      gpus >= wanted.gpus && cpuMillis >= wanted.cpuMillis && memoryMiB >= wanted.memoryMiB,
  )
  if (row)
    return { spec: { ...row }, error: '', steps: [`smallest GPU size that holds it: ${formatSpec(row)}`] }
  const of = rows[0]?.gpuModel
  const error =
    of === undefined ? 'the price book has no GPU sizes' : `no GPU size holds ${formatSpec(wanted)}`
  return { spec: undefined, error, steps: [] }
}

/** As in `1 core`, `0.25 cores`. */
export function formatCores(cpuMillis: bigint): string {
  const cores = thousandths(cpuMillis)
  return cores === '1' ? '1 core' : `${cores} cores`
}

/** As in `8 GiB`, `512 MiB`. */
export function formatMiB(memoryMiB: bigint): string {
  return memoryMiB % 1024n === 0n && memoryMiB > 0n ? `${memoryMiB / 1024n} GiB` : `${memoryMiB} MiB`
}

function thousandths(millis: bigint): string {
  const fraction = String(millis % 1000n)
    .padStart(3, '0')
    .replace(/0+$/, '')
  return fraction === '' ? String(millis / 1000n) : `${millis / 1000n}.${fraction}`
}
