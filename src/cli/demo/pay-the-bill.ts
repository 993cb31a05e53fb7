import type { ExplainedPod } from '../../billing/bill-explanation.ts'
import type { Bill } from '../../billing/invoice.ts'
import {
  formatNanos,
  nanoScale,
  parseDecimal,
  plus,
  rational,
  roundRational,
  times,
  zero,
} from '../../model/money.ts'
import { formatTable } from '../table.ts'
import { until, type Stage } from './stage.ts'

/** 7. What it cost, line by line, and whether the lines add up. */
export async function payTheBill(stage: Stage): Promise<void> {
  const { claims, output } = stage
  let bill = await readBill(stage)
  const closed = await until(stage, { timeoutMs: 10_000, pollMs: 200 }, async () => {
    bill = await readBill(stage)
    return bill.rows.length > 0 && bill.rows.every(({ open }) => !open)
  })
  // An earlier demo on the same cluster is on the bill too, and is not this story's.
  const own = new Set(stage.timelines().map(({ uid }) => uid))
  const pods = (bill.pods ?? []).filter(({ podUid }) => own.has(podUid))
  output.line()
  output.write(billTable(pods))
  const [first] = pods
  if (first) output.write(`\n${explanation(first)}\n`)
  const total = bill.totals.map(({ amount, currency }) => `${amount} ${currency}`).join(' + ')
  output.line(`  Total ${total}`)
  output.line()
  claims.check(
    'billing stopped with the last container of every Pod that ended',
    closed && pods.length >= 7,
    `${pods.length} Pods, ${pods.filter(({ end }) => !end).length} running`,
  )
  const wrong = pods
    .flatMap(({ lines }) => lines)
    .filter(({ formula, amount }) => evaluate(formula) !== amount)
  const lines = pods.reduce((sum, pod) => sum + pod.lines.length, 0)
  claims.check(
    'every line is what its printed formula gives',
    wrong.length === 0 && lines > 0,
    `${lines} lines computed again`,
  )
  const sum = bill.rows.reduce((nanos, { amount }) => nanos + toNanos(amount), 0n)
  const lineSum = (bill.pods ?? [])
    .flatMap((pod) => pod.lines)
    .reduce((nanos, { amount }) => nanos + toNanos(amount), 0n)
  const stated = bill.totals.reduce((nanos, { amount }) => nanos + toNanos(amount), 0n)
  claims.check(
    'lines, rows and total agree to the last nano-unit',
    sum === stated && lineSum === stated,
    formatNanos(lineSum),
  )
}

async function readBill({ admin, clock }: Stage): Promise<Bill> {
  const nowMs = clock.wallMs()
  const query = { fromMs: String(nowMs - 3_600_000), toMs: String(nowMs), by: 'pod' }
  return (await admin('/v1/bill', query)) as Bill
}

function billTable(pods: readonly ExplainedPod[]): string {
  const columns = [
    { title: 'pod' },
    { title: 'node' },
    { title: 'size billed' },
    { title: 'seconds', right: true },
    { title: 'amount', right: true },
  ]
  const rows = pods.map((pod) => {
    const nanos = pod.lines.reduce((sum, { amount }) => sum + toNanos(amount), 0n)
    return [pod.pod, pod.node, pod.spec, pod.seconds, `${formatNanos(nanos)} ${pod.lines[0]?.currency ?? ''}`]
  })
  return formatTable(columns, rows)
}

function explanation(pod: ExplainedPod): string {
  const steps = pod.steps.map((step) => `    ${step}\n`).join('')
  const lines = pod.lines
    .map(({ formula, amount, currency }) => `    ${formula} → ${amount} ${currency}\n`)
    .join('')
  return `  For example ${pod.pod}, ${pod.seconds} s from its sandbox to its last container's end (${pod.endKnown}):\n${steps}${lines}`
}

/** The sum again, from the printed text alone. */
export function evaluate(formula: string): string {
  const [sum = ''] = formula.split(' = ')
  const exact = sum
    .split(' + ')
    .map((term) => {
      const match = /^([\d.]+)(?:\/(\d+))? \S+ × ([\d.]+) s × ([\d.]+) \S+ per [\w-]+(?: ÷ (\d+))?$/.exec(
        term.replace(/,.*$/, ''),
      )
      if (!match) return zero
      const [, size = '0', sizeBy = '1', seconds = '0', price = '0', priceBy = '1'] = match
      const divisor = rational(1n, BigInt(sizeBy) * BigInt(priceBy))
      return times(times(parseDecimal(size), parseDecimal(seconds)), times(parseDecimal(price), divisor))
    })
    .reduce(plus, zero)
  return formatNanos(roundRational(exact, nanoScale, 'half_even'))
}

function toNanos(amount: string): bigint {
  return roundRational(parseDecimal(amount), nanoScale, 'half_even')
}
