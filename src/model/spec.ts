import { assertNever } from './assert.ts'
import type { Container, Pod } from './kubernetes.ts'
import type { ExactSpecs, PriceBook, Size, SteppedSpecs } from './price-book.ts'
import { parseBytes, parseCpuMillis } from './quantity.ts'
import { isSidecar, podLimits, podRequests } from './resources.ts'

/** The size that a Pod is given and billed at. */
export interface Spec extends Size {
  readonly gpus: bigint
  readonly gpuModel?: string
}

/** What the Pod asks for, before any size is looked up. */
export interface Demand extends Size {
  readonly gpus: bigint
}

/** `steps` say, one sentence each, how the demand became the size. */
export type SpecChoice =
  | { readonly ok: true; readonly spec: Spec; readonly demand: Demand; readonly steps: readonly string[] }
  | { readonly ok: false; readonly demand: Demand; readonly error: string; readonly steps: readonly string[] }

const bytesPerMiB = 1_048_576n
const gpuResources = ['nvidia.com/gpu', 'amd.com/gpu', 'gpu.intel.com/i915']

/** The size of a Pod by the book's table. Never throws for a Pod that the API server took. */
export function chooseSpec(pod: Pod, book: PriceBook): SpecChoice {
  const table = book.specTable
  switch (table.kind) {
    case 'exact':
      return chooseExact(pod, table, book.memoryOverheadMiB)
    case 'stepped':
      return chooseStepped(pod, table, book.memoryOverheadMiB)
    default:
      return assertNever(table, 'spec table')
  }
}

/** As people write it: `4 cores, 8 GiB`, `0.25 cores, 512 MiB, 1 × V100`. */
export function formatSpec({ cpuMillis, memoryMiB, gpus, gpuModel }: Spec): string {
  const cards = gpus > 0n ? `, ${gpus} × ${gpuModel ?? 'GPU'}` : ''
  return `${formatCores(cpuMillis)}, ${formatMiB(memoryMiB)}${cards}`
}

function chooseExact(pod: Pod, table: ExactSpecs, overheadMiB: bigint): SpecChoice {
  const requests = podRequests(pod)
  const limits = podLimits(pod)
  const demand = {
    cpuMillis: requests.cpuMillis,
    memoryMiB: toMiB(requests.memoryBytes),
    gpus: gpuCount(requests.extended) || gpuCount(limits.extended),
  }
  const steps = [`the Pod's requests, as the scheduler counts them: ${formatSpec(demand)}`]
  const cpuMillis = demand.cpuMillis || table.defaults.cpuMillis
  const memoryMiB = demand.memoryMiB || table.defaults.memoryMiB
  if (demand.cpuMillis === 0n) steps.push(`no CPU asked for: ${formatCores(cpuMillis)} by default`)
  if (demand.memoryMiB === 0n) steps.push(`no memory asked for: ${formatMiB(memoryMiB)} by default`)
  if (overheadMiB > 0n) steps.push(`plus ${formatMiB(overheadMiB)} of overhead`)
  return { ok: true, spec: { ...demand, cpuMillis, memoryMiB: memoryMiB + overheadMiB }, demand, steps }
}

function chooseStepped(pod: Pod, table: SteppedSpecs, overheadMiB: bigint): SpecChoice {
  const { demand, steps } = statedDemand(pod, table) ?? tencentDemand(pod)
  return sizeFor(demand, { table, overheadMiB, steps })
}

/** The size that a table has for what is asked for; `steps` are those that led there. */
export function sizeFor(
  demand: Demand,
  {
    table,
    overheadMiB,
    steps: before = [],
  }: { readonly table: SteppedSpecs; readonly overheadMiB: bigint; readonly steps?: readonly string[] },
): SpecChoice {
  const steps = [...before]
  if (demand.cpuMillis === 0n && demand.memoryMiB === 0n && demand.gpus === 0n) {
    steps.push(`nothing asked for: ${formatSpec({ ...table.defaults, gpus: 0n })} by default`)
    return { ok: true, spec: { ...table.defaults, gpus: 0n }, demand, steps }
  }
  if (overheadMiB > 0n) steps.push(`plus ${formatMiB(overheadMiB)} of overhead`)
  const wanted = { ...demand, memoryMiB: demand.memoryMiB + overheadMiB }
  return demand.gpus > 0n ? lookUpGpu(wanted, demand, table, steps) : lookUpRow(wanted, demand, table, steps)
}

function lookUpRow(wanted: Demand, demand: Demand, table: SteppedSpecs, steps: string[]): SpecChoice {
  const first = table.rows.findIndex((row) => row.cpuMillis >= wanted.cpuMillis)
  for (const row of first < 0 ? [] : table.rows.slice(first)) {
    const memoryMiB = row.memoryMiB.find((cell) => cell >= wanted.memoryMiB)
    const largest = row.memoryMiB.at(-1) ?? 0n
    if (memoryMiB === undefined) {
      steps.push(
        `${formatCores(row.cpuMillis)} come with at most ${formatMiB(largest)}, less than ${formatMiB(wanted.memoryMiB)}: next CPU size`,
      )
      continue
    }
    const spec = { cpuMillis: row.cpuMillis, memoryMiB, gpus: 0n }
    steps.push(`smallest size that holds it: ${formatSpec(spec)}`)
    return { ok: true, spec, demand, steps }
  }
  const top = table.rows.at(-1)
  const error = `${formatSpec(wanted)} is more than the largest size, ${formatCores(top?.cpuMillis ?? 0n)} with ${formatMiB(top?.memoryMiB.at(-1) ?? 0n)}`
  return { ok: false, demand, error, steps }
}

/** Cards first; when that size is too small in CPU or memory, more cards (Tencent's page calls that waste itself). */
function lookUpGpu(wanted: Demand, demand: Demand, table: SteppedSpecs, steps: string[]): SpecChoice {
  const row = table.gpuRows.find(
    ({ gpus, cpuMillis, memoryMiB }) =>
      gpus >= wanted.gpus && cpuMillis >= wanted.cpuMillis && memoryMiB >= wanted.memoryMiB,
  )
  if (!row) return { ok: false, demand, error: `no GPU size holds ${formatSpec(wanted)}`, steps }
  steps.push(`smallest GPU size that holds it: ${formatSpec(row)}`)
  return { ok: true, spec: { ...row }, demand, steps }
}

interface Stated {
  readonly demand: Demand
  readonly steps: readonly string[]
}

function statedDemand(pod: Pod, table: SteppedSpecs): Stated | undefined {
  if (!table.annotations) return undefined
  const stated = statedSize(pod, table.annotations)
  const { demand, steps } = tencentDemand(pod)
  switch (stated.kind) {
    case 'none':
    case 'half':
      return undefined
    case 'unreadable':
      // An annotation is free text that no API server checks: said, and the requests count.
      return { demand, steps: [`annotations not understood (${stated.reason})`, ...steps] }
    case 'size': {
      const wanted = { ...stated.size, gpus: demand.gpus }
      return { demand: wanted, steps: [`the Pod's annotations state ${formatSpec(wanted)}`] }
    }
    default:
      return assertNever(stated, 'stated size')
  }
}

/** A size that a Pod's annotations state. Both of them, or nothing: one alone would leave the other to chance. */
export type StatedSize =
  | { readonly kind: 'none' }
  | { readonly kind: 'half'; readonly missing: string }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'size'; readonly size: Size }

export function statedSize(
  { metadata }: Pod,
  keys: { readonly cpu: string; readonly memory: string },
): StatedSize {
  const cpu = metadata?.annotations?.[keys.cpu]
  const memory = metadata?.annotations?.[keys.memory]
  if (cpu === undefined && memory === undefined) return { kind: 'none' }
  if (cpu === undefined) return { kind: 'half', missing: keys.cpu }
  if (memory === undefined) return { kind: 'half', missing: keys.memory }
  try {
    return { kind: 'size', size: { cpuMillis: parseCpuMillis(cpu), memoryMiB: toMiB(parseBytes(memory)) } }
  } catch (error) {
    return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Per resource the larger of the sum of requests and the largest single limit; init containers by themselves in the
 * same way, "the larger value is used": per resource here, which the page leaves open. Sidecars run with the
 * containers, so they count with them; what the Pod states as a whole takes the place of the sum.
 */
function tencentDemand(pod: Pod): Stated {
  const { containers = [], initContainers = [], resources } = pod.spec ?? {}
  const running = groupDemand([...containers, ...initContainers.filter(isSidecar)])
  const init = groupDemand(initContainers.filter((container) => !isSidecar(container)))
  const whole = resources ? groupDemand([{ name: '', resources }]) : undefined
  const demand = {
    cpuMillis: whole?.cpuMillis || larger(running.cpuMillis, init.cpuMillis),
    memoryMiB: toMiB(whole?.memoryBytes || larger(running.memoryBytes, init.memoryBytes)),
    gpus: larger(running.gpus, init.gpus),
  }
  return {
    demand,
    steps: [`asked for, as the larger of all requests together and the largest limit: ${formatSpec(demand)}`],
  }
}

function groupDemand(containers: readonly Container[]): {
  cpuMillis: bigint
  memoryBytes: bigint
  gpus: bigint
} {
  let sum = { cpuMillis: 0n, memoryBytes: 0n, gpus: 0n }
  let limit = { cpuMillis: 0n, memoryBytes: 0n }
  for (const { resources } of containers) {
    // The API server defaults a missing request to the limit.
    const requests: Record<string, string> = { ...resources?.limits, ...resources?.requests }
    sum = {
      cpuMillis: sum.cpuMillis + parseCpuMillis(requests['cpu'] ?? '0'),
      memoryBytes: sum.memoryBytes + parseBytes(requests['memory'] ?? '0'),
      gpus: sum.gpus + gpuResources.reduce((n, name) => n + parseBytes(requests[name] ?? '0'), 0n),
    }
    limit = {
      cpuMillis: larger(limit.cpuMillis, parseCpuMillis(resources?.limits?.['cpu'] ?? '0')),
      memoryBytes: larger(limit.memoryBytes, parseBytes(resources?.limits?.['memory'] ?? '0')),
    }
  }
  return {
    cpuMillis: larger(sum.cpuMillis, limit.cpuMillis),
    memoryBytes: larger(sum.memoryBytes, limit.memoryBytes),
    gpus: sum.gpus,
  }
}

function gpuCount(extended: ReadonlyMap<string, bigint>): bigint {
  return gpuResources.reduce((sum, name) => sum + (extended.get(name) ?? 0n), 0n)
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function toMiB(bytes: bigint): bigint {
  return (bytes + bytesPerMiB - 1n) / bytesPerMiB
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
