import type { BillGrouping } from '../billing/bill-query.ts'
import type { ExplainedPod } from '../billing/bill-explanation.ts'
import type { BillRow, BillTotal } from '../billing/bill-rows.ts'
import type { Bill } from '../billing/invoice.ts'
import { csvRecord } from '../model/csv.ts'
import { formatTable, type Column } from './table.ts'

interface Cell {
  readonly title: string
  /** Of a row; undefined where it has none. */
  readonly of: (row: BillRow) => string | undefined
  readonly right?: boolean
}

/** The rows, the total, and what a reader has to know about them. */
export function formatBill({ from, to, asOf, by, rows, totals, perHour, pods = [] }: Bill): string {
  const cells = [
    ...nameCells(by),
    ...(by.includes('pod') ? [] : [{ title: 'pods', of: (row: BillRow) => String(row.pods), right: true }]),
    ...(by.includes('workload') ? endCells : []),
    ...quantityCells,
    { title: 'amount', of: (row: BillRow) => `${row.amount} ${row.currency}`.trimEnd(), right: true },
    { title: '', of: remarks },
  ]
  const columns: Column[] = cells.map(({ title, right = false }) => ({ title, right }))
  const table = formatTable(
    columns,
    rows.map((row) => cells.map(({ of }) => of(row) ?? '')),
  )
  const resized = pods.flatMap(sizesOf).map((line) => `${line}\n`)
  const sizes = resized.length > 0 ? `\n${resized.join('')}` : ''
  const running = perHour.length > 0 ? `; what runs costs ${amounts(perHour)} per hour` : ''
  const total = totals.length > 0 ? amounts(totals) : 'nothing'
  return `${table}\n${sizes}Total ${total}, from ${from} to ${to} (as of ${asOf})${running}\n`
}

/** One record a row, after one with the names of the columns. Amounts and seconds with all their places. */
export function formatBillCsv({ by, rows }: Bill): string {
  const cells: Cell[] = [
    ...nameCells(by, 'label:'),
    ...(by.includes('pod') ? [{ title: 'pod uid', of: ({ podUid }: BillRow) => podUid }] : []),
    { title: 'correction', of: ({ correction }) => correction },
    { title: 'pods', of: ({ pods }) => String(pods) },
    { title: 'started', of: ({ started }) => started },
    { title: 'ended', of: ({ ended }) => ended },
    { title: 'running', of: ({ open }) => String(open) },
    { title: 'per hour', of: ({ perHour }) => perHour },
    { title: 'estimated', of: ({ estimated }) => String(estimated) },
    { title: 'unpriced', of: ({ unpriced }) => unpriced.join(' ') || undefined },
    ...quantityCells,
    { title: 'amount', of: ({ amount }) => amount },
    { title: 'currency', of: ({ currency }) => currency || undefined },
  ]
  const header = cells.map(({ title }) => (title.startsWith('label:') ? title : columnName(title)))
  const records = rows.map((row) => csvRecord(cells.map(({ of }) => of(row))))
  return `${csvRecord(header)}${records.join('')}`
}

function columnName(title: string): string {
  return title.toLowerCase().replace(/[ -]/g, '_')
}

const quantityCells: readonly Cell[] = [
  { title: 'core-seconds', of: ({ coreSeconds }) => coreSeconds, right: true },
  { title: 'GiB-seconds', of: ({ gibSeconds }) => gibSeconds, right: true },
  { title: 'GPU-seconds', of: ({ gpuSeconds }) => gpuSeconds, right: true },
]

const endCells: readonly Cell[] = [
  { title: 'started', of: ({ started }) => started },
  { title: 'ended', of: ({ ended }) => ended },
]

function nameCells(by: readonly BillGrouping[], labelPrefix = ''): Cell[] {
  const has = (...any: readonly BillGrouping[]): boolean => any.some((grouping) => by.includes(grouping))
  const labels = by.flatMap((grouping) => (grouping.startsWith('label:') ? [grouping.slice(6)] : []))
  const cells: (Cell | false)[] = [
    has('day') && { title: 'day', of: ({ day }) => day },
    has('pool') && { title: 'pool', of: ({ pool }) => pool },
    has('namespace', 'workload', 'pod') && { title: 'namespace', of: ({ namespace }) => namespace },
    ...labels.map((key) => ({ title: `${labelPrefix}${key}`, of: (row: BillRow) => row.labels?.[key] })),
    has('workload', 'pod') && { title: 'workload', of: ({ workload }) => workload },
    has('pod') && { title: 'pod', of: ({ pod }) => pod },
  ]
  return cells.filter((cell) => cell !== false)
}

/** As in `shop/web was resized: 1 core, 2 GiB from 2026-…; 2 cores, 4 GiB from 2026-…`. */
function sizesOf({ namespace, pod, sizes }: ExplainedPod): string[] {
  if (!sizes) return []
  const parts = sizes.map(({ from, spec }) => `${spec} from ${from}`)
  return [`${namespace}/${pod} was resized: ${parts.join('; ')}`]
}

function remarks({ open, perHour, currency, estimated, unpriced, correction }: BillRow): string {
  return [
    correction !== undefined && `correction: ${correction}`,
    open && `running${perHour === undefined ? '' : `, ${perHour} ${currency} per hour`}`,
    estimated && 'estimated',
    unpriced.length > 0 && `no price: ${unpriced.join(', ')}`,
  ]
    .filter(Boolean)
    .join('; ')
}

function amounts(totals: readonly BillTotal[]): string {
  return totals.map(({ amount, currency }) => `${amount} ${currency}`).join(' + ')
}
