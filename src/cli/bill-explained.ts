import type { ExplainedLine, ExplainedPod, ExplainedPrice } from '../billing/bill-explanation.ts'
import type { BillRow } from '../billing/bill-rows.ts'
import type { Bill } from '../billing/invoice.ts'

/** Sandbox by sandbox: time, size, price, each line and its rounding, and the sums, so that a pencil gets the same. */
export function formatExplained({ from, to, asOf, pods = [], rows, totals }: Bill): string {
  const corrections = rows.filter(({ correction }) => correction !== undefined)
  const total = totals.map(({ amount, currency }) => `${amount} ${currency}`).join(' + ') || 'nothing'
  return [
    ...pods.map(formatSandbox),
    ...corrections.map(formatCorrection),
    `Total ${total}, from ${from} to ${to} (as of ${asOf})\n`,
  ].join('\n')
}

function formatSandbox(pod: ExplainedPod): string {
  const { namespace, workload, podUid, incarnation, pool, node, start, currency } = pod
  const facts: [string, readonly string[]][] = [
    ['workload', [workload || 'not known: its INTENT is missing']],
    ['where', [`pool ${pool || 'not known'}, node ${node}`]],
    ['from', [`${start}, when its sandbox was made`]],
    ['to', [endOf(pod)]],
    ['time', [timeOf(pod)]],
    ['size', sizeOf(pod)],
    ['price', priceOf(pod)],
  ]
  const lines = pod.lines.map((line) => `  ${line.hour}  ${line.sku ?? line.resource}\n${formulaOf(line)}`)
  const told = facts.flatMap(([title, texts]) =>
    texts.map((text, index) => `  ${(index === 0 ? title : '').padEnd(8)}  ${text}\n`),
  )
  return [
    `${namespace}/${pod.pod}, sandbox ${incarnation} (Pod ${podUid})\n`,
    ...told,
    ...lines,
    `  sum of ${pod.lines.length} lines: ${pod.amount} ${currency}`.trimEnd(),
    '\n',
  ].join('')
}

function endOf({ end, endKnown, endReason }: ExplainedPod): string {
  if (end === undefined) return 'it runs'
  const known: Readonly<Record<string, string>> = {
    exact: "its last container's end, by the backend's clock",
    recorded: 'when its end was asked for: no container ever ran',
    estimated: 'estimated: when it was last seen',
  }
  return `${end}, ${known[endKnown] ?? endKnown}${endReason === undefined ? '' : ` (${endReason})`}`
}

function timeOf({ seconds, billedSeconds }: ExplainedPod): string {
  return billedSeconds === undefined ? `${seconds} s` : `${seconds} s, billed ${billedSeconds} s`
}

function sizeOf({ spec, steps, sizes }: ExplainedPod): string[] {
  if (!sizes) return [spec, ...steps.map((step) => `  ${step}`)]
  return sizes.flatMap((size) => [`${size.spec} from ${size.from}`, ...size.steps.map((step) => `  ${step}`)])
}

function priceOf({ priceBook, book, prices }: ExplainedPod): string[] {
  if (!book) return ['none yet: the size is not known']
  return [
    `book ${priceBook}: ${book.source}, read on ${book.retrievedAt}`,
    ...prices.map((price) => `  ${price.sku}: ${price.price}${validityOf(price)}`),
    ...book.rules.map((rule) => `  ${rule}`),
  ]
}

function validityOf({ validFrom, validTo }: ExplainedPrice): string {
  return [validFrom && `, from ${validFrom}`, validTo && `, until ${validTo}`].filter(Boolean).join('')
}

function formulaOf({ formula, amount, currency }: ExplainedLine): string {
  return `    ${formula} → ${amount} ${currency}\n`
}

function formatCorrection({ correction, started, amount, currency, namespace, pod }: BillRow): string {
  return `${namespace}/${pod}, correction of ${started}: ${correction}\n  ${amount} ${currency}\n`
}
