import { Command, Option } from 'commander'
import { BillingReader } from '../../billing/billing-reader.ts'
import type { Bill, ExplainedBillPod } from '../../billing/invoice.ts'
import { billViews, type BillRow, type BillView } from '../../billing/bill-rows.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerFile } from '../ledger-file.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'
import { parseTimeOption, startOfMonthMs } from '../times.ts'

interface BillFlags {
  readonly from?: string
  readonly to?: string
  readonly by: BillView
  readonly server?: string
  readonly ledger?: string
}

/** `spillway bill`: who spent what, as the sum of lines that are rounded once each. */
export function billCommand(context: CliContext): Command {
  return new Command('bill')
    .description('who spent what: this month (UTC), or --from and --to')
    .option('--from <time>', 'RFC 3339, or back from now: -24h')
    .option('--to <time>', 'exclusive; default now')
    .addOption(new Option('--by <view>', 'one row for each').choices(billViews).default('namespace'))
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'read a ledger itself: a file, or a PostgreSQL URL')
    .action(async (flags: BillFlags, command: Command) => {
      const nowMs = context.clock.wallMs()
      const query = {
        fromMs:
          flags.from === undefined ? startOfMonthMs(nowMs) : parseTimeOption('--from', flags.from, nowMs),
        toMs: flags.to === undefined ? nowMs : parseTimeOption('--to', flags.to, nowMs),
        by: flags.by,
      }
      const options = { ...globalOptions(command), ...flags }
      const bill = flags.ledger
        ? await billOfFile(flags.ledger, query, context)
        : await billOfServer(adminTarget(options, context), query, context)
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(bill)
      else output.write(formatBill(bill))
    })
}

interface Query {
  readonly fromMs: number
  readonly toMs: number
  readonly by: BillView
}

async function billOfServer(target: string, query: Query, { signal }: CliContext): Promise<Bill> {
  const text = { fromMs: String(query.fromMs), toMs: String(query.toMs), by: query.by }
  return (await askAdmin({ target }, '/v1/bill', text, signal)) as Bill
}

async function billOfFile(file: string, query: Query, context: CliContext): Promise<Bill> {
  const ledger = await openLedgerFile(file, context)
  try {
    return await new BillingReader(ledger, context.clock).bill(query, context.signal)
  } finally {
    await ledger.close()
  }
}

/** The rows, the total, and what a reader has to know about them. */
export function formatBill({ from, to, asOf, by, rows, totals, pods = [] }: Bill): string {
  const names =
    by === 'namespace' ? ['namespace'] : by === 'workload' ? ['namespace', 'workload'] : ['namespace', 'pod']
  const columns = [
    ...names.map((title) => ({ title })),
    { title: by === 'pod' ? 'workload' : 'pods', right: by !== 'pod' },
    { title: 'core-seconds', right: true },
    { title: 'GiB-seconds', right: true },
    { title: 'GPU-seconds', right: true },
    { title: 'amount', right: true },
    { title: '' },
  ]
  const cells = rows.map((row) => [
    ...names.map((name) => String(row[name as keyof BillRow] ?? '')),
    by === 'pod' ? (row.workload ?? '') : String(row.pods),
    row.coreSeconds,
    row.gibSeconds,
    row.gpuSeconds,
    `${row.amount} ${row.currency}`,
    remarks(row),
  ])
  const total = totals.map(({ amount, currency }) => `${amount} ${currency}`).join(' + ') || 'nothing'
  const resized = pods.flatMap(sizesOf).map((line) => `${line}\n`)
  const sizes = resized.length > 0 ? `\n${resized.join('')}` : ''
  return `${formatTable(columns, cells)}\n${sizes}Total ${total}, from ${from} to ${to} (as of ${asOf})\n`
}

/** As in `shop/web was resized: 1 core, 2 GiB from 2026-…; 2 cores, 4 GiB from 2026-…`. */
function sizesOf({ namespace, pod, sizes }: ExplainedBillPod): string[] {
  if (!sizes) return []
  const parts = sizes.map(({ from, spec }) => `${spec} from ${from}`)
  return [`${namespace}/${pod} was resized: ${parts.join('; ')}`]
}

function remarks({ open, estimated, unpriced }: BillRow): string {
  return [
    open && 'running',
    estimated && 'estimated',
    unpriced.length > 0 && `no price: ${unpriced.join(', ')}`,
  ]
    .filter(Boolean)
    .join(', ')
}
