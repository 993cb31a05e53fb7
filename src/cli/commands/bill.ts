import { Command, Option } from 'commander'
import type { BillQuery } from '../../billing/bill-query.ts'
import { BillingReader } from '../../billing/billing-reader.ts'
import type { Bill } from '../../billing/invoice.ts'
import { SpillwayError } from '../../model/errors.ts'
import { askAdmin } from '../admin-client.ts'
import { formatExplained } from '../bill-explained.ts'
import { addSelectionOptions, billFilter, parseGroupings, type BillSelectionFlags } from '../bill-options.ts'
import { billPeriod } from '../bill-period.ts'
import { formatBill, formatBillCsv } from '../bill-table.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerFile } from '../ledger-file.ts'
import { Output } from '../output.ts'

interface BillFlags extends BillSelectionFlags {
  readonly by: string
  readonly explain?: string
  readonly csv?: boolean
}

/** `spillway bill`: who spent what, as the sum of lines that are rounded once each. */
export function billCommand(context: CliContext): Command {
  const command = new Command('bill')
    .description('who spent what: this month (UTC), or the period that is given')
    .option(
      '--by <views>',
      'one row for each: namespace, workload, pod, pool, day, label:KEY; several joined by commas',
      'namespace',
    )
  return addSelectionOptions(command)
    .option('--explain <pod>', 'every line of one Pod, to be computed again: NAME, NAMESPACE/NAME or UID')
    .addOption(new Option('--csv', 'print CSV (RFC 4180)').conflicts(['explain']))
    .action(async (flags: BillFlags, built: Command) => {
      const options = { ...globalOptions(built), ...flags }
      const query = billQuery(flags, context.clock.wallMs())
      const bill = flags.ledger
        ? await billOfFile(flags.ledger, query, context)
        : await billOfServer(adminTarget(options, context), query, context)
      refuseUnknown(bill, flags.explain)
      const output = new Output(context.stdout, context.environment)
      if (flags.csv) output.write(formatBillCsv(bill))
      else if (options.json) output.json(bill)
      else output.write(flags.explain === undefined ? formatBill(bill) : formatExplained(bill))
    })
}

type Query = Omit<BillQuery, 'nowMs'>

function billQuery(flags: BillFlags, nowMs: number): Query {
  const period = billPeriod(flags, nowMs)
  const filter = billFilter(flags)
  if (flags.explain === undefined) return { ...period, filter, by: parseGroupings(flags.by) }
  return { ...period, filter: { ...filter, pod: flags.explain }, by: ['pod'], explain: true }
}

async function billOfServer(target: string, query: Query, { signal }: CliContext): Promise<Bill> {
  const { fromMs, toMs, by, filter, explain } = query
  const question = {
    fromMs: String(fromMs),
    toMs: String(toMs),
    by: [by].flat().join(','),
    namespace: filter?.namespaces ?? [],
    pool: filter?.pools ?? [],
    workload: filter?.workloads ?? [],
    label: filter?.labels ?? [],
    ...(filter?.pod !== undefined && { pod: filter.pod }),
    ...(explain !== undefined && { explain: String(explain) }),
  }
  return (await askAdmin({ target }, '/v1/bill', question, signal)) as Bill
}

async function billOfFile(file: string, query: Query, context: CliContext): Promise<Bill> {
  const ledger = await openLedgerFile(file, context)
  try {
    return await new BillingReader(ledger, context.clock).bill(query, context.signal)
  } finally {
    await ledger.close()
  }
}

function refuseUnknown({ rows, from, to }: Bill, pod: string | undefined): void {
  if (pod === undefined || rows.length > 0) return
  throw new SpillwayError('NotFound', `--explain: no Pod "${pod}" was billed from ${from} to ${to}`)
}
