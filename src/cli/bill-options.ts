import { type Command } from 'commander'
import { isGrouping, plainGroupings, type BillFilter, type BillGrouping } from '../billing/bill-query.ts'
import { SpillwayError } from '../model/errors.ts'
import type { PeriodFlags } from './bill-period.ts'

/** What `bill` and `export` share: whose, and when. */
export interface BillSelectionFlags extends PeriodFlags {
  readonly namespace: readonly string[]
  readonly pool: readonly string[]
  readonly workload: readonly string[]
  readonly label: readonly string[]
  readonly server?: string
  readonly ledger?: string
}

export function addSelectionOptions(command: Command): Command {
  return command
    .option('--month <month>', 'a UTC month, as in 2026-11')
    .option('--today', 'since midnight UTC')
    .option('--last <time>', 'back from now: 90m, 24h, 7d')
    .option('--from <time>', 'RFC 3339, or back from now: -24h; default the start of this month (UTC)')
    .option('--to <time>', 'exclusive; default now')
    .option('--namespace <name>', 'only that one; may be repeated', collected, [])
    .option('--pool <name>', 'only that one; may be repeated', collected, [])
    .option('--workload <kind>', 'only those, as in Job or Deployment/web; may be repeated', collected, [])
    .option('--label <key=value>', 'only Pods that have it, or a KEY; repeated: all of them', collected, [])
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'read a ledger itself: a file, or a PostgreSQL URL')
}

/** Usage: an empty value, or a label without a key. */
export function billFilter({ namespace, pool, workload, label }: BillSelectionFlags): BillFilter {
  refuseEmpty('--namespace', namespace, 'the name of one')
  refuseEmpty('--pool', pool, 'the name of one')
  refuseEmpty('--workload', workload, 'a kind (Job), or kind and name (Deployment/web)')
  for (const wanted of label) {
    if (/^[^=]+(=.*)?$/.test(wanted)) continue
    throw new SpillwayError('Usage', `--label: found "${wanted}"; allowed: KEY=VALUE, or KEY`)
  }
  return { namespaces: namespace, pools: pool, workloads: workload, labels: label }
}

/** `namespace,day`. Usage: one of them is unknown, or there twice. */
export function parseGroupings(text: string): BillGrouping[] {
  const found: BillGrouping[] = []
  for (const part of text.split(',')) {
    if (!isGrouping(part) || found.includes(part)) {
      const allowed = `${plainGroupings.join(', ')}, label:KEY, each once, joined by commas`
      throw new SpillwayError('Usage', `--by: found "${part}"; allowed: ${allowed}`)
    }
    found.push(part)
  }
  return found
}

function refuseEmpty(flag: string, values: readonly string[], allowed: string): void {
  if (values.includes('')) throw new SpillwayError('Usage', `${flag}: found ""; allowed: ${allowed}`)
}

function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
